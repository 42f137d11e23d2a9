"""Hamiltonian Monte Carlo with many chains, compiled, and what it was worth."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from arviz_stats.base.array import array_stats

__all__ = ["HMCSettings", "diagnose", "sample"]

tfb = tfp.bijectors


class HMCSettings(NamedTuple):
    """How many chains, how long, and how far in one step."""

    num_chains: int = 16
    num_burnin_steps: int = 2_000
    num_results: int = 10_000
    num_leapfrog_steps: int = 20
    step_size: float = 0.1  # the first one where it is adapted
    adapt_step_size: bool = True
    target_accept_prob: float = 0.8

    @property
    def num_gradients(self) -> int:
        """Gradients of the log density, in all chains, burn-in included."""
        steps = self.num_burnin_steps + self.num_results
        return self.num_chains * steps * self.num_leapfrog_steps


class Draws(NamedTuple):
    """What `sample` returns.

    Attributes:
      values: `[num_results, num_chains, V]`.
      acceptance_rate: over all chains, after the burn-in.
      step_size: the last one.
    """

    values: np.ndarray
    acceptance_rate: float
    step_size: float


def sample(
    log_prob: Callable[[tf.Tensor], tf.Tensor],
    start: tf.Tensor,
    settings: HMCSettings,
    seed: int,
    bijector: tfb.Bijector | None = None,
    variables: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> Draws:
    """Draws from an unnormalised density on R^D.

    Args:
      log_prob: maps `[..., D]` to `[...]`.
      start: of the chains, `[num_chains, D]`, where the chains move.
      settings: of the chains.
      seed: of all noise.
      bijector: the chains move in the space that it maps to R^D. Default: None,
        in R^D itself.
      variables: what to keep of each draw in R^D. Default: all.
    """
    kernel: Any = tfp.mcmc.HamiltonianMonteCarlo(
        log_prob,
        settings.step_size,
        settings.num_leapfrog_steps,
        store_parameters_in_results=True,  # for the adaptation to find
    )
    if bijector is not None:
        # Its log-det is computed with the value, for the cost of one pass.
        kernel = tfp.mcmc.TransformedTransitionKernel(kernel, bijector)
    if settings.adapt_step_size:
        kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
            kernel,
            num_adaptation_steps=int(0.8 * settings.num_burnin_steps),
            target_accept_prob=settings.target_accept_prob,
        )

    def trace(state: tf.Tensor, results: Any) -> tuple[tf.Tensor, ...]:
        inner = results
        if settings.adapt_step_size:
            inner = inner.inner_results
        if bijector is not None:
            inner = inner.inner_results
        return (
            variables(state),
            inner.is_accepted,
            inner.accepted_results.step_size,
        )

    @tf.function(jit_compile=True)
    def run(start: tf.Tensor) -> tuple[tf.Tensor, ...]:
        if bijector is not None:
            start = bijector.forward(start)
        return tfp.mcmc.sample_chain(
            settings.num_results,
            start,
            kernel=kernel,
            num_burnin_steps=settings.num_burnin_steps,
            trace_fn=trace,
            seed=[seed, 2],
        ).trace

    values, is_accepted, step_sizes = run(start)
    return Draws(
        values.numpy(),
        float(np.mean(is_accepted)),
        float(np.ravel(step_sizes)[-1]),
    )


def diagnose(values: np.ndarray) -> dict[str, np.ndarray]:
    """R-hat and bulk effective samples of each variable, `[V]`.

    Rank-normalised, of split chains (Vehtari et al. 2021).

    Args:
      values: `[num_results, num_chains, V]`.
    """
    chains = np.moveaxis(np.asarray(values, np.float64), 0, 1)
    axes = {"chain_axis": 0, "draw_axis": 1}
    return {
        "r_hat": array_stats.rhat(chains, **axes),
        "ess_bulk": array_stats.ess(chains, **axes),
    }
