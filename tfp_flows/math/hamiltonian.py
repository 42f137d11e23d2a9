"""Hamiltonian dynamics of a density that a base is annealed into.

References:
1. T. Salimans, D. Kingma and M. Welling. Markov Chain Monte Carlo and
   Variational Inference: Bridging the Gap. ICML 2015.
   https://arxiv.org/abs/1410.6460
2. A. Caterini, A. Doucet and D. Sejdinovic. Hamiltonian Variational
   Auto-Encoder. NeurIPS 2018. https://arxiv.org/abs/1805.11328
3. T. Geffner and J. Domke. MCMC Variational Inference via Uncorrected
   Hamiltonian Annealing. NeurIPS 2021. https://arxiv.org/abs/2107.04150
4. G. Zhang et al. Differentiable Annealed Importance Sampling and the Perils of
   Gradient Noise. NeurIPS 2021. https://arxiv.org/abs/2107.10211
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows.math import implicit, recomputed_loop

__all__ = [
    "Annealed",
    "LogDensity",
    "Point",
    "anneal",
    "evaluate",
    "leapfrog",
    "linear_betas",
    "num_momentum_draws",
    "quadratic_tempering",
]

LogDensity = Callable[[tf.Tensor], tf.Tensor]


class Point(NamedTuple):
    """A position, and what some log densities are there.

    The gradients have derivatives, the values have none.
    """

    z: tf.Tensor  # [..., D]
    log_probs: tuple[tf.Tensor, ...]  # [...] each
    gradients: tuple[tf.Tensor, ...]  # [..., D] each


class Annealed(NamedTuple):
    """What `anneal` returns: see there."""

    z: tf.Tensor
    log_weight: tf.Tensor
    energy_error: tf.Tensor


def evaluate(log_densities: Sequence[LogDensity], z: tf.Tensor) -> Point:
    """The log densities and their gradients at `z`."""
    log_probs, gradients = [], []
    for log_density in log_densities:
        log_prob, (gradient,) = implicit.vector_jacobian_product(
            log_density, [z], None
        )
        log_prob = tf.ensure_shape(log_prob, z.shape[:-1])
        log_probs.append(tf.stop_gradient(log_prob))
        gradients.append(tf.ensure_shape(gradient, z.shape))
    return Point(z, tuple(log_probs), tuple(gradients))


def leapfrog(
    point: Point,
    momentum: tf.Tensor,
    step_size: tf.Tensor,
    log_densities: Sequence[LogDensity],
    weights: Sequence[tf.Tensor],
) -> tuple[Point, tf.Tensor]:
    """One leapfrog step of unit mass for `log p = sum_i w_i log p_i`.

        rho <- rho + eps/2 grad log p(z);  z <- z + eps rho
        rho <- rho + eps/2 grad log p(z)

    It keeps volumes, and is undone by itself with `-rho` for `rho`. The
    gradients at `point` are known, so it costs one of each density.

    Args:
      point: z, `[..., D]`, as `evaluate` returns it.
      momentum: rho, `[..., D]`.
      step_size: eps, broadcasts to `[D]`.
      log_densities: the `log p_i`.
      weights: the `w_i`.
    """

    def kicked(momentum: tf.Tensor, point: Point) -> tf.Tensor:
        force = _mixed(weights, point.gradients)
        return momentum + 0.5 * step_size * force

    momentum = kicked(momentum, point)
    after = evaluate(log_densities, point.z + step_size * momentum)
    return after, kicked(momentum, after)


def anneal(
    z: tf.Tensor,
    log_joint: LogDensity,
    log_base: LogDensity | None,
    momentum_noise: tf.Tensor,
    *,
    betas: tf.Tensor,
    step_sizes: tf.Tensor,
    num_leapfrog_steps: int = 1,
    persistence: float = 0.9,
    tempering: tf.Tensor | None = None,
) -> Annealed:
    """Moves samples of a base towards a density, by Hamiltonian dynamics.

    With `U_k = -(beta_k log p + (1 - beta_k) log q_0)`, K betas, `rho_0` and
    all `xi_k` standard normal, for k = 1, ..., K

        rho'_k = eta rho_(k-1) + sqrt(1 - eta**2) xi_k        (rho'_1 = rho_0)
        (z_k, rho_k) = L leapfrog steps of U_k from (z_(k-1), rho'_k)
        log_weight = sum_k (log N(rho_k; 0, I) - log N(rho'_k; 0, I))

    so that `E[exp(log p(z_K) + log_weight - log q_0(z_0))]` is the integral
    of p. Nothing is rejected, so all of it is differentiable. With tempering,
    `rho_0` starts `1 / prod_k alpha_k` times larger and bridge k ends with
    `rho <- alpha_k rho`; the volume that this takes it gives back.

    One rolled loop over the K L steps, with K L + 1 gradients of each density;
    its derivatives, for which the densities need second ones, run each step
    again (`recomputed_loop`). A sample that goes astray stays as it is.

    Args:
      z: samples of q_0, `[..., D]`.
      log_joint: log p, from `[..., D]` to `[...]`, in nats.
      log_base: log q_0, alike, at points that it did not draw. None where all
        betas are 1, which makes it no part of the dynamics.
      momentum_noise: standard normal `[M, ..., D]`, with M as
        `num_momentum_draws` says. No derivative passes through it.
      betas: `[K]`, growing to 1; K is static and may be 0.
      step_sizes: epsilon, `[]`, `[D]` or `[K, D]`.
      num_leapfrog_steps: L.
      persistence: eta, from 0 (Langevin, for L = 1) to 1.
      tempering: factors alpha, `[K]`, for eta = 1. Default: None, no tempering.

    Returns:
      `z_K`, `[..., D]`; the log weight without `-log q_0(z_0)`, `[...]`; the
      mean over the bridges of `|Delta H|`, `[...]`, without derivatives.
    """
    num_bridges = betas.shape[0]
    zeros = tf.zeros_like(z[..., 0])
    if num_bridges == 0:
        return Annealed(z, zeros, zeros)
    betas, step_sizes = (tf.cast(x, z.dtype) for x in (betas, step_sizes))
    step_sizes = tf.broadcast_to(step_sizes, [num_bridges, z.shape[-1]])
    densities = [log_joint] if log_base is None else [log_joint, log_base]
    refreshed = persistence < 1.0 and num_bridges > 1
    momentum = momentum_noise[0]
    log_weight = zeros
    if tempering is not None:
        first = momentum * tf.exp(-tf.reduce_sum(tf.math.log(tempering)))
        log_weight += _log_normal_change(momentum, first)
        momentum = first

    num_densities = len(densities)

    def step(i: tf.Tensor, z: tf.Tensor, *rest: tf.Tensor) -> Any:
        log_probs, gradients, (momentum, log_weight, drift, error) = (
            rest[:num_densities],
            rest[num_densities:-4],
            rest[-4:],
        )
        point = Point(z, log_probs, gradients)
        k, place = i // num_leapfrog_steps, i % num_leapfrog_steps
        if refreshed:
            noise = tf.stop_gradient(tf.gather(momentum_noise, k))
            new = persistence * momentum + math.sqrt(1 - persistence**2) * noise
            is_new = tf.logical_and(place == 0, k > 0)
            momentum = tf.where(is_new, new, momentum)
        beta = tf.gather(betas, k)
        weights = (beta, 1.0 - beta)[:num_densities]
        after, moved = leapfrog(
            point, momentum, tf.gather(step_sizes, k), densities, weights
        )
        drift += _energy(after, moved, weights)
        drift -= _energy(point, momentum, weights)
        is_last = place == num_leapfrog_steps - 1
        if tempering is not None:
            factor = tf.gather(tempering, k)
            moved *= tf.where(is_last, factor, tf.ones_like(factor))
        log_weight += _log_normal_change(momentum, moved)
        none = tf.zeros_like(drift)
        error += tf.where(is_last, tf.abs(drift), none)
        drift = tf.where(is_last, none, drift)
        return _flat(after, moved, log_weight, drift, error)

    start = evaluate(densities, z)
    none = tf.stop_gradient(zeros)
    z, *_, log_weight, _, error = recomputed_loop.fold(
        step,
        _flat(start, momentum, log_weight, none, none),
        num_bridges * num_leapfrog_steps,
    )
    return Annealed(z, log_weight, tf.stop_gradient(error) / num_bridges)


def num_momentum_draws(num_bridges: int, persistence: float) -> int:
    """How many momenta `anneal` needs: one if it is kept, else K."""
    return min(num_bridges, 1) if persistence == 1.0 else num_bridges


def linear_betas(num_bridges: int, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """`k / K` for k = 1, ..., K."""
    steps = tf.range(1, num_bridges + 1, dtype=tf.int32)
    return tf.cast(steps, dtype) / max(num_bridges, 1)


def quadratic_tempering(temperature: tf.Tensor, num_bridges: int) -> tf.Tensor:
    """Factors of Caterini et al. (2018), from a first temperature T_0.

        alpha_k = sqrt(T_k / T_(k-1)),  T_k = T_0 + (1 - T_0) k**2 / K**2

    Args:
      temperature: T_0, a scalar, positive.
      num_bridges: K.

    Returns:
      `[K]`.
    """
    share = tf.range(num_bridges + 1, dtype=temperature.dtype) / num_bridges
    temperatures = temperature + (1.0 - temperature) * share * share
    return tf.sqrt(temperatures[1:] / temperatures[:-1])


def _flat(point: Point, *others: tf.Tensor) -> tuple[tf.Tensor, ...]:
    return point.z, *point.log_probs, *point.gradients, *others


def _mixed(
    weights: Sequence[tf.Tensor], values: Sequence[tf.Tensor]
) -> tf.Tensor:
    return tf.add_n([w * v for w, v in zip(weights, values, strict=True)])


def _energy(
    point: Point, momentum: tf.Tensor, weights: Sequence[tf.Tensor]
) -> tf.Tensor:
    """`U + rho' rho / 2`, without derivatives."""
    kinetic = 0.5 * tf.reduce_sum(momentum * momentum, axis=-1)
    return tf.stop_gradient(kinetic - _mixed(weights, point.log_probs))


def _log_normal_change(before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """`log N(after; 0, I) - log N(before; 0, I)`, exactly 0 if equal."""
    return 0.5 * tf.reduce_sum((before - after) * (before + after), axis=-1)
