"""Annealed Langevin and Hamiltonian dynamics behind any TFP distribution."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_integer, as_positive_integer
from tfp_flows._tfp import ps
from tfp_flows.math import hamiltonian
from tfp_flows.types import TensorLike

__all__ = ["anneal", "check_persistence"]

tfd = tfp.distributions


def anneal(
    target_log_prob_fn: Callable[[tf.Tensor], tf.Tensor],
    surrogate_posterior: tfd.Distribution,
    *,
    num_bridges: int,
    step_size: TensorLike,
    num_leapfrog_steps: int = 1,
    persistence: float = 0.9,
    betas: TensorLike | None = None,
    tempering: TensorLike | None = None,
    sample_shape: int | Sequence[int] = (),
    seed: Any,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples of a surrogate, moved towards a target, and their log weights.

    With Z the integral of the target's density,

        E[exp(target_log_prob_fn(z) + log_weight)] = Z
        E[target_log_prob_fn(z) + log_weight] <= log Z

    so the second is a bound to maximise, in the surrogate's parameters, the
    step size and the betas alike, and the first an importance sampler. See
    `tfp_flows.math.hamiltonian.anneal`, of which `persistence=0` is Langevin's
    and `persistence=1`, with `tempering`, the Hamiltonian autoencoder's
    dynamics. The target has to be that of all data: with the log likelihood of
    a mini-batch, scaled up, neither statement holds.

    Example:
    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp

    import tfp_flows

    tfd = tfp.distributions
    target = tfp_flows.targets.get("u1")
    loc, scale = tf.Variable([0.0, 0.0]), tf.Variable([1.0, 1.0])
    log_step_size = tf.Variable([-2.0, -2.0])

    def loss(seed=(0, 0)):
        z, log_weight = tfp_flows.auxiliary.anneal(
            target.unnormalized_log_prob,
            tfd.MultivariateNormalDiag(loc, tf.nn.softplus(scale)),
            num_bridges=8,
            step_size=tf.exp(log_step_size),
            sample_shape=16,
            seed=seed,
        )
        return -tf.reduce_mean(target.unnormalized_log_prob(z) + log_weight)

    with tf.GradientTape() as tape:
        value = loss()
    tape.gradient(value, [loc, scale, log_step_size])
    ```

    Args:
      target_log_prob_fn: from `[..., D]` to `[...]`, in nats. Its second
        derivatives are needed, of which piecewise linear activations have none.
      surrogate_posterior: a distribution of vectors; its `log_prob` has to take
        points that it did not draw, and to be differentiable twice.
      num_bridges: K, the number of densities on the way; 0: the surrogate.
      step_size: `[]`, `[D]` or `[K, D]`; a variable may be learned.
      num_leapfrog_steps: of each bridge.
      persistence: from 0 to 1, the share of the momentum that a bridge leaves
        to the next.
      betas: `[K]`, how much of the target is in each density; the last is 1.
        Default: None, `k / K`.
      tempering: `[K]`, positive factors of the momentum, for `persistence=1`.
        Default: None, no tempering.
      sample_shape: of the samples for each member of the batch.
      seed: as TFP takes it.

    Returns:
      z, `[*sample_shape, *batch, D]`, and log weights without the last axis.

    Raises:
      ValueError: an argument breaks its rule.
    """
    num_bridges = as_integer("num_bridges", num_bridges, 0)
    num_leapfrog_steps = as_positive_integer(
        "num_leapfrog_steps", num_leapfrog_steps
    )
    check_persistence(persistence, is_tempered=tempering is not None)
    _check_vectors(surrogate_posterior)
    base_seed, momentum_seed = tfp.random.split_seed(
        seed, n=2, salt="tfp_flows.auxiliary.anneal"
    )
    z, log_prob = surrogate_posterior.experimental_sample_and_log_prob(
        sample_shape, seed=base_seed
    )
    draws = hamiltonian.num_momentum_draws(num_bridges, persistence)
    momentum_noise = tf.random.stateless_normal(
        ps.concat([[draws], ps.shape(z)], axis=0),
        momentum_seed,
        dtype=z.dtype,
        alg="philox",
    )
    annealed = hamiltonian.anneal(
        z,
        target_log_prob_fn,
        # Not the tensor that a bijector remembers.
        lambda z: surrogate_posterior.log_prob(tf.identity(z)),
        momentum_noise,
        betas=_factors("betas", betas, num_bridges, z.dtype),
        step_sizes=_step_sizes(step_size, num_bridges, z),
        num_leapfrog_steps=num_leapfrog_steps,
        persistence=persistence,
        tempering=None
        if tempering is None
        else _factors("tempering", tempering, num_bridges, z.dtype),
    )
    return annealed.z, annealed.log_weight - log_prob


def check_persistence(persistence: Any, *, is_tempered: bool) -> None:
    """Raises a ValueError unless it is in [0, 1], and 1 for tempering."""
    try:
        is_share = 0.0 <= persistence <= 1.0
    except TypeError:
        is_share = False
    if not is_share:
        raise ValueError(
            f"`persistence` must be from 0 to 1; got {persistence!r}."
        )
    if is_tempered and persistence != 1.0:
        raise ValueError(
            "`persistence` must be 1 with `tempering`, which is for a momentum "
            f"that is kept; got {persistence!r}."
        )


def _check_vectors(distribution: tfd.Distribution) -> None:
    shape = distribution.event_shape
    if shape.rank != 1 or shape[0] is None:
        raise ValueError(
            "`surrogate_posterior` must be over vectors of a known size; got "
            f"event shape {shape}."
        )


def _factors(
    name: str, given: TensorLike | None, num_bridges: int, dtype: tf.DType
) -> tf.Tensor:
    if given is None:
        return hamiltonian.linear_betas(num_bridges, dtype)
    values = tf.convert_to_tensor(given, dtype)
    if values.shape != [num_bridges]:
        raise ValueError(
            f"`{name}` must have shape [num_bridges] = [{num_bridges}]; got "
            f"{tuple(values.shape)}."
        )
    return values


def _step_sizes(given: TensorLike, num_bridges: int, z: tf.Tensor) -> tf.Tensor:
    values = tf.convert_to_tensor(given, z.dtype)
    size = z.shape[-1]
    if values.shape.as_list() not in ([], [size], [num_bridges, size]):
        raise ValueError(
            f"`step_size` must have shape [], [{size}] or [{num_bridges}, "
            f"{size}]; got {tuple(values.shape)}."
        )
    return values
