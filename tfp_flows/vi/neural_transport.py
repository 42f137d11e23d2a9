"""Hamiltonian chains in the space that a surrogate's flow straightens."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_positive_integer, as_positive_number
from tfp_flows.bijectors import forward_and_log_det
from tfp_flows.math import noise
from tfp_flows.vi import chains, models, weights
from tfp_flows.vi.ascent import is_worth_xla
from tfp_flows.vi.models import LogProb
from tfp_flows.vi.surrogates import FlowParts, flow_parts

__all__ = ["NeutraResult", "neutra"]

tfd = tfp.distributions

METHODS = ("hmc", "nuts")
_MIXED = 1.01
_ADAPTING = 0.8  # of the burn-in
_TARGET_ACCEPTANCE = 0.8


@dataclasses.dataclass(frozen=True)
class NeutraResult:
    """Chains of the posterior, and how far they have mixed.

    Attributes:
      draws: the model's variables, in its structure,
        `[num_results, num_chains, ...]`.
      r_hat: of each number in each variable, in the same structure.
      effective_sample_size: likewise, of all chains together.
      acceptance_rate: of the proposals after the burn-in, or for NUTS that of
        the points of its trajectories.
      step_size: the adapted one.
      num_gradients: of the log density, in all chains, burn-in included.
      has_mixed: whether every R-hat is below 1.01.
    """

    draws: Any = dataclasses.field(repr=False)
    r_hat: Any
    effective_sample_size: Any
    acceptance_rate: float
    step_size: float
    num_gradients: int
    has_mixed: bool

    def __str__(self) -> str:
        return (
            f"largest R-hat {_flat(self.r_hat).max():.4f}, smallest effective "
            f"sample size {_flat(self.effective_sample_size).min():,.0f}, "
            f"{self.acceptance_rate:.0%} accepted."
        )


def neutra(
    model: Any,
    surrogate: tfd.Distribution,
    num_results: int = 1_000,
    *,
    observed: Mapping[str, Any] | None = None,
    method: str = "hmc",
    num_chains: int = 16,
    num_burnin_steps: int = 500,
    num_leapfrog_steps: int = 2,
    initial_step_size: float = 0.3,
    jit_compile: bool | str = "auto",
    seed: int = 0,
) -> NeutraResult:
    """Draws of the posterior by chains in the space before a fitted flow [1].

    With x(e) the map from standard normal e to the model's variables, of which
    the surrogate is made, the chains move in e under

        log p(x(e), y) + log|det dx/de|,

    which is the closer to a standard normal the better the surrogate is, and
    start from draws of it. TFP adapts one step size (dual averaging, to 80 %
    accepted) and a diagonal mass matrix in the burn-in.

    Args:
      model: as in `build_flow_surrogate_posterior`.
      surrogate: what that returned, fitted.
      num_results: draws of each chain.
      observed: values of an unpinned model, by name.
      method: "hmc", or "nuts", which chooses the length of each trajectory.
      num_chains: how many, at least 2.
      num_burnin_steps: before them.
      num_leapfrog_steps: of each proposal of HMC. In a space that is nearly
        standard normal the adapted step is near 1, and few serve best: three
        and more may come back to where they began, two cannot.
      initial_step_size: before adaptation.
      jit_compile: whether XLA compiles the chains. Default: "auto", where they
        have 20,000 steps.
      seed: of all noise, in [0, 2**31). Equal seeds give equal draws.

    Returns:
      See `NeutraResult`. A UserWarning says if an R-hat is above 1.01.

    Raises:
      TypeError, ValueError: as in `fit`.

    References:
      [1]: Matthew Hoffman, Pavel Sountsov, Joshua Dillon, Ian Langmore, Dustin
           Tran, Srinivas Vasudevan. NeuTra-lizing Bad Geometry in Hamiltonian
           Monte Carlo Using Neural Transport. 2019.
           https://arxiv.org/abs/1903.03704
    """
    noise.check_seed(seed)
    num_results = as_positive_integer("num_results", num_results)
    num_burnin_steps = as_positive_integer("num_burnin_steps", num_burnin_steps)
    num_leapfrog_steps = as_positive_integer(
        "num_leapfrog_steps", num_leapfrog_steps
    )
    if as_positive_integer("num_chains", num_chains) < 2:
        raise ValueError(
            "`num_chains` must be at least 2, for R-hat to compare; got "
            f"{num_chains}."
        )
    if method not in METHODS:
        raise ValueError(
            f"`method` must be one of {', '.join(METHODS)}; got {method!r}."
        )
    as_positive_number("initial_step_size", initial_step_size)
    parts = flow_parts(surrogate)
    if parts is None:
        raise ValueError(
            "`surrogate` must be one that `build_flow_surrogate_posterior` "
            "made, for its flow to be the chains' space; got "
            f"{surrogate!r}."
        )
    log_prob = models.log_prob_of(model, observed)
    weights.check_start(log_prob, surrogate, seed)
    kernel = _kernel(
        _before_the_flow(log_prob, parts),
        parts,
        method,
        num_leapfrog_steps,
        initial_step_size,
        num_burnin_steps,
    )

    def run(start: tf.Tensor, key: tf.Tensor) -> tuple[Any, ...]:
        states, trace = tfp.mcmc.sample_chain(
            num_results + num_burnin_steps,
            start,
            kernel=kernel,
            trace_fn=_trace(method),
            seed=key,
        )
        z = parts.flow.forward(states[num_burnin_steps:])
        return parts.space.forward(z), trace

    key: dict[str, Any] = {"seed": seed, "step": 0, "purpose": "vi.neutra"}
    start = noise.normal(
        [num_chains, parts.event_size], dtype=parts.dtype, **key
    )
    if jit_compile == "auto":
        jit_compile = is_worth_xla(num_results + num_burnin_steps)
    draws, trace = tf.nest.map_structure(
        np.asarray,
        tf.function(run, jit_compile=jit_compile, autograph=False)(
            start, noise.tfp_seed(noise.key(**key))
        ),
    )
    acceptance, step_sizes, num_leapfrogs = trace
    r_hat = tf.nest.map_structure(chains.r_hat, draws)
    worst = _flat(r_hat).max()
    if not worst < _MIXED:
        warnings.warn(
            f"`neutra` ended with chains that have not mixed: R-hat {worst:.4f}"
            f", above {_MIXED}. More of `num_results` and `num_burnin_steps`, "
            "or a surrogate with a higher ELBO, help.",
            UserWarning,
            stacklevel=2,
        )
    return NeutraResult(
        draws=draws,
        r_hat=r_hat,
        effective_sample_size=tf.nest.map_structure(
            chains.effective_sample_size, draws
        ),
        acceptance_rate=float(acceptance[num_burnin_steps:].mean()),
        step_size=float(np.mean(step_sizes[-1])),
        num_gradients=int(num_leapfrogs.sum())
        if method == "nuts"
        else num_leapfrog_steps * acceptance.size,
        has_mixed=bool(worst < _MIXED),
    )


def _before_the_flow(log_prob: LogProb, parts: FlowParts) -> LogProb:
    """The posterior's density as one of e, standard normal at best."""

    def target(e: tf.Tensor) -> tf.Tensor:
        z, log_det = forward_and_log_det(parts.flow, e)
        values = parts.space.forward(z)
        log_det += parts.space.forward_log_det_jacobian(z, event_ndims=1)
        return log_prob(values) + log_det

    return target


def _kernel(
    target: LogProb,
    parts: FlowParts,
    method: str,
    num_leapfrog_steps: int,
    step_size: float,
    num_burnin_steps: int,
) -> Any:
    step_size = tf.constant(step_size, parts.dtype)
    if method == "nuts":
        inner: Any = tfp.experimental.mcmc.PreconditionedNoUTurnSampler(
            target, step_size, max_tree_depth=6
        )
    else:
        inner = tfp.experimental.mcmc.PreconditionedHamiltonianMonteCarlo(
            target,
            step_size,
            num_leapfrog_steps,
            store_parameters_in_results=True,  # for the adaptations to find
        )
    adapting = int(_ADAPTING * num_burnin_steps)
    ones = tf.ones([parts.event_size], parts.dtype)
    inner = tfp.experimental.mcmc.DiagonalMassMatrixAdaptation(
        inner,
        initial_running_variance=(
            # Counts as much as some hundred draws.
            tfp.experimental.stats.RunningVariance.from_stats(
                num_samples=tf.constant(100.0, parts.dtype),
                mean=tf.zeros_like(ones),
                variance=ones,
            )
        ),
        num_estimation_steps=adapting,
    )
    return tfp.mcmc.DualAveragingStepSizeAdaptation(
        inner,
        num_adaptation_steps=adapting,
        target_accept_prob=_TARGET_ACCEPTANCE,
    )


def _trace(method: str) -> Any:
    def trace(state: Any, results: Any) -> tuple[tf.Tensor, ...]:
        del state
        found = results.inner_results.inner_results
        if method == "nuts":
            acceptance = tf.exp(tf.minimum(found.log_accept_ratio, 0.0))
            return acceptance, found.step_size, found.leapfrogs_taken
        accepted = tf.cast(found.is_accepted, tf.float32)
        step_size = found.accepted_results.step_size
        return accepted, step_size, tf.zeros([], tf.int32)

    return trace


def _flat(nest: Any) -> np.ndarray:
    return np.concatenate([np.ravel(x) for x in tf.nest.flatten(nest)])
