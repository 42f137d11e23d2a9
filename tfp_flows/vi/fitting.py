"""The training of a surrogate posterior, and what it came to."""

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import (
    as_integer,
    as_positive_integer,
    as_positive_number,
)
from tfp_flows.math import noise
from tfp_flows.vi import models, pareto, weights
from tfp_flows.vi.ascent import Progress, climb, is_worth_xla
from tfp_flows.vi.auxiliary_surrogates import AuxiliarySurrogate
from tfp_flows.vi.surrogates import flow_parts

__all__ = ["FitResult", "fit"]

tfd = tfp.distributions

_CLIP_NORM = 10.0
_GAUSSIAN_RATE = 3.0  # times the learning rate, for the Gaussian part alone


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What a `fit` came to.

    Attributes:
      elbo: the mean of `log p(x, y) - log q(x)` over new draws, in nats; that
        of a normalised model is at most `log p(y)`, less by KL(q || posterior).
      elbo_standard_error: of that mean.
      k_hat: Pareto's, of the importance weights: below 0.7 they can be used.
      history: the ELBO's estimate at each step, `[num_steps]`; NaN where a step
        was skipped.
      final_gain: what the last tenth of the steps gained over the tenth before,
        in nats.
      has_converged: whether that is less than 0.05, or lost in its noise.
      advice: what `k_hat` says to do.
    """

    elbo: float
    elbo_standard_error: float
    k_hat: float
    history: np.ndarray = dataclasses.field(repr=False)
    final_gain: float
    has_converged: bool
    advice: str

    def __str__(self) -> str:
        return (
            f"ELBO {self.elbo:.3f} ± {self.elbo_standard_error:.3f} nats, "
            f"k-hat {self.k_hat:.2f}: {self.advice}."
        )


def fit(
    model: Any,
    surrogate: weights.Surrogate,
    *,
    observed: Mapping[str, Any] | None = None,
    num_steps: int = 10_000,
    num_draws: int = 128,
    learning_rate: float = 3e-3,
    num_warm_up_steps: int | None = None,
    optimizer: keras.Optimizer | None = None,
    gradient_estimator: str = "auto",
    num_evaluation_draws: int = 20_000,
    jit_compile: bool | str = "auto",
    seed: int = 0,
    verbose: bool | int = True,
) -> FitResult:
    """Trains a surrogate posterior by its ELBO, in place.

        ELBO = E_q[log p(x, y) - log q(x)] = log p(y) - KL(q || p(x | y))

    First the Gaussian part alone, for `num_warm_up_steps`, then all of it; each
    by Adam, whose learning rate falls to zero along a cosine, and gradients
    whose norm is at most 10. Equal seeds give equal results.

    Args:
      model: as in `build_flow_surrogate_posterior`.
      surrogate: what that returned, or any distribution with trainable
        variables and reparameterized draws, of the model's structure; or what
        `build_auxiliary_surrogate_posterior` returned, with a bound below the
        ELBO in its place.
      observed: values of an unpinned model, by name.
      num_steps: of both stages together.
      num_draws: of each step.
      learning_rate: at the start of the second stage; of the Gaussian part
        alone three times that. Runs of hundreds of steps want a larger one.
      num_warm_up_steps: of the Gaussian part. Default: None, a fifth of all;
        none where there is nothing but a Gaussian.
      optimizer: a new one, of Keras, for the second stage. Default: None, Adam.
      gradient_estimator: "reparameterized", or "sticking_the_landing", which
        leaves out the score of q [1]: its noise ends where q is the posterior.
        It takes a surrogate of this package, and of a layer one that can.
        Default: "auto", the second where it can be had.
      num_evaluation_draws: for the ELBO and k-hat at the end.
      jit_compile: whether XLA compiles the steps. Default: "auto", where there
        are 10,000 of them and it can.
      seed: of all noise, in [0, 2**31).
      verbose: False or 0: no bar.

    Returns:
      See `FitResult`. A UserWarning says if the ELBO was still rising, or if it
      ended lower than that of the Gaussian part alone.

    Raises:
      TypeError: dtypes differ, or an argument is of another type than it may.
      ValueError: an argument breaks its rule, or the model has no finite log
        density of one number for each draw where q begins.
      FloatingPointError: so at too many steps.

    References:
      [1]: Geoffrey Roeder, Yuhuai Wu, David Duvenaud. Sticking the Landing.
           NeurIPS 2017. https://arxiv.org/abs/1703.09194
      [2]: Abhinav Agrawal, Justin Domke. Disentangling impact of capacity,
           objective, batchsize, estimators, and step-size on flow VI. 2024.
           https://arxiv.org/abs/2412.08824
    """
    noise.check_seed(seed)
    num_steps = as_positive_integer("num_steps", num_steps)
    num_draws = as_positive_integer("num_draws", num_draws)
    num_evaluation_draws = as_positive_integer(
        "num_evaluation_draws", num_evaluation_draws
    )
    as_positive_number("learning_rate", learning_rate)
    log_prob = models.log_prob_of(model, observed)
    variables = _variables(surrogate)
    gaussian = _gaussian_variables(surrogate, len(variables))
    num_warm_up_steps = _warm_up(num_warm_up_steps, num_steps, bool(gaussian))
    score = _keeps_score(gradient_estimator, surrogate)
    weights.check_start(log_prob, surrogate, seed)

    def elbo(step: tf.Tensor) -> tf.Tensor:
        found = weights.draw(
            log_prob,
            surrogate,
            num_draws,
            seed=seed,
            step=step,
            purpose="vi.fit",
            score=score,
        )
        return tf.reduce_mean(found.log_weights)

    progress = Progress(num_steps, bool(verbose))
    is_auto = jit_compile == "auto"
    settings: dict[str, Any] = {
        "jit_compile": is_worth_xla(num_steps) if is_auto else jit_compile,
        "may_fall_back": is_auto,
        "progress": progress,
    }
    history = [np.zeros(0)]
    if num_warm_up_steps:
        history.append(
            climb(
                elbo,
                gaussian,
                _adam(_GAUSSIAN_RATE * learning_rate, num_warm_up_steps),
                range(num_warm_up_steps),
                **settings,
            )
        )
    rest = range(num_warm_up_steps, num_steps)
    if optimizer is None:
        is_gaussian = flow_parts(surrogate) is not None and not gaussian
        factor = _GAUSSIAN_RATE if is_gaussian else 1.0
        optimizer = _adam(factor * learning_rate, len(rest))
    history.append(climb(elbo, variables, optimizer, rest, **settings))
    result = _result(
        np.concatenate(history),
        weights.draw_many(
            log_prob,
            surrogate,
            num_evaluation_draws,
            seed=seed,
            purpose="vi.fit.evaluation",
        ).log_weights,
    )
    if num_warm_up_steps:
        _warn_if_lower(result, history[1])
    return result


def _variables(surrogate: weights.Surrogate) -> tuple[tf.Variable, ...]:
    variables = tuple(getattr(surrogate, "trainable_variables", ()))
    if not variables:
        raise ValueError(
            "`surrogate` must have trainable variables, as that of "
            f"`build_flow_surrogate_posterior` has; got {surrogate!r}."
        )
    return variables


def _gaussian_variables(
    surrogate: weights.Surrogate, num_variables: int
) -> tuple[tf.Variable, ...]:
    """Those that are trained first; none if they are all there is."""
    parts = flow_parts(surrogate)
    if parts is None or len(parts.gaussian_variables) == num_variables:
        return ()
    return parts.gaussian_variables


def _warm_up(given: int | None, num_steps: int, has_stage: bool) -> int:
    if given is None:
        return num_steps // 5 if has_stage else 0
    given = as_integer("num_warm_up_steps", given, 0)
    if given >= num_steps or (given and not has_stage):
        raise ValueError(
            "`num_warm_up_steps` must be less than `num_steps`, and 0 where "
            "the surrogate is no flow behind a Gaussian; got "
            f"{given} of {num_steps}."
        )
    return given


def _keeps_score(estimator: str, surrogate: weights.Surrogate) -> bool:
    can_leave_out = (
        surrogate.posterior.can_leave_out_score
        if isinstance(surrogate, AuxiliarySurrogate)
        else flow_parts(surrogate) is not None
    )
    known = ("auto", "reparameterized", "sticking_the_landing")
    if estimator not in known or (estimator == known[2] and not can_leave_out):
        raise ValueError(
            f"`gradient_estimator` must be one of {', '.join(known)}, and not "
            "the last one for a surrogate that this package did not make, or "
            "whose layer cannot; got "
            f"{estimator!r}."
        )
    return estimator == known[1] or not can_leave_out


def _adam(learning_rate: float, num_steps: int) -> keras.Optimizer:
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(learning_rate, num_steps),
        global_clipnorm=_CLIP_NORM,
    )


def _result(history: np.ndarray, log_weights: np.ndarray) -> FitResult:
    tenth = max(1, len(history) // 10)
    last = history[-tenth:]
    before = history[-2 * tenth : -tenth]
    last, before = last[np.isfinite(last)], before[np.isfinite(before)]
    gain, noise_level = 0.0, math.inf
    if len(last) > 1 and len(before) > 1:
        gain = float(last.mean() - before.mean())
        noise_level = math.sqrt(
            last.var() / len(last) + before.var() / len(before)
        )
    has_converged = gain < max(0.05, 3.0 * noise_level)
    if not has_converged:
        warnings.warn(
            f"`fit` ended after {len(history):,} steps, while the ELBO was "
            f"still rising: by {gain:.2f} ± {noise_level:.2f} nats in the last "
            "tenth of them. `num_steps` may be larger.",
            UserWarning,
            stacklevel=3,
        )
    k_hat = pareto.smooth(log_weights).k_hat
    return FitResult(
        elbo=float(log_weights.mean()),
        elbo_standard_error=float(
            log_weights.std(ddof=1) / math.sqrt(len(log_weights))
        ),
        k_hat=k_hat,
        history=history,
        final_gain=gain,
        has_converged=has_converged,
        advice=pareto.advice(k_hat),
    )


def _warn_if_lower(result: FitResult, gaussian: np.ndarray) -> None:
    """Of a second stage that lost what the first, the Gaussian's, had."""
    last = gaussian[-max(1, len(gaussian) // 10) :]
    reached = float(last[np.isfinite(last)].mean())
    if result.elbo < reached - 0.05 - 3.0 * result.elbo_standard_error:
        warnings.warn(
            f"`fit` ended at an ELBO of {result.elbo:.2f} nats, lower than the "
            f"{reached:.2f} of the Gaussian part alone: the flow diverged. A "
            "smaller `learning_rate`, more draws or another flow help.",
            UserWarning,
            stacklevel=3,
        )
