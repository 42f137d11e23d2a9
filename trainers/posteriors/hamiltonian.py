"""Hamiltonian Monte Carlo with many chains, compiled, and what it was worth."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.vi import chains

__all__ = ["HMCSettings", "diagnose", "sample"]


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
    variables: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> Draws:
    """Draws from an unnormalised density on R^D.

    Args:
      log_prob: maps `[..., D]` to `[...]`.
      start: of the chains, `[num_chains, D]`.
      settings: of the chains.
      seed: of all noise.
      variables: what to keep of each draw. Default: all.
    """
    kernel: Any = tfp.mcmc.HamiltonianMonteCarlo(
        log_prob,
        settings.step_size,
        settings.num_leapfrog_steps,
        store_parameters_in_results=True,  # for the adaptation to find
    )
    if settings.adapt_step_size:
        kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
            kernel,
            num_adaptation_steps=int(0.8 * settings.num_burnin_steps),
            target_accept_prob=settings.target_accept_prob,
        )

    def trace(state: tf.Tensor, results: Any) -> tuple[tf.Tensor, ...]:
        inner = results.inner_results if settings.adapt_step_size else results
        return (
            variables(state),
            inner.is_accepted,
            inner.accepted_results.step_size,
        )

    @tf.function(jit_compile=True, autograph=False)
    def run(start: tf.Tensor) -> tuple[tf.Tensor, ...]:
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
    return {
        "r_hat": chains.r_hat(values),
        "ess_bulk": chains.effective_sample_size(values),
    }
