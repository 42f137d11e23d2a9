"""What importance sampling from a surrogate posterior gives."""

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_integer, as_positive_integer
from tfp_flows.math import noise
from tfp_flows.vi import models, pareto, weights

__all__ = [
    "LogEvidence",
    "ResampledDraws",
    "importance_resample",
    "log_evidence",
]

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class ResampledDraws:
    """Draws that are distributed as the posterior, where k-hat allows.

    Attributes:
      draws: the model's variables, in its structure, `[num_draws, ...]`.
      k_hat: of the importance weights.
      effective_sample_size: `1 / sum(w**2)` of the smoothed, normalised
        weights: how many draws of the posterior theirs are worth.
      advice: what `k_hat` says to do.
    """

    draws: Any = dataclasses.field(repr=False)
    k_hat: float
    effective_sample_size: float
    advice: str


class LogEvidence(NamedTuple):
    """An estimate of `log p(y)`.

    Attributes:
      log_evidence: in nats.
      standard_error: of it, in nats.
      k_hat: of the importance weights: below 0.7 both can be relied on.
    """

    log_evidence: float
    standard_error: float
    k_hat: float

    def __str__(self) -> str:
        return (
            f"log p(y) {self.log_evidence:.3f} ± {self.standard_error:.3f} "
            f"nats, k-hat {self.k_hat:.2f}"
        )


def importance_resample(
    model: Any,
    surrogate: weights.Surrogate,
    num_draws: int = 1_000,
    *,
    observed: Mapping[str, Any] | None = None,
    num_proposals: int = 50_000,
    seed: int = 0,
) -> ResampledDraws:
    """Draws of a surrogate, chosen with probability `p(x, y) / q(x)`.

    The weights are Pareto-smoothed (`pareto`), and the choice is systematic:
    each proposal is taken `num_draws * w` times, rounded up or down.

    Args:
      model: as in `build_flow_surrogate_posterior`.
      surrogate: a distribution of the model's structure, or what
        `build_auxiliary_surrogate_posterior` returned, fitted.
      num_draws: how many to return.
      observed: values of an unpinned model, by name.
      num_proposals: how many to choose from.
      seed: decides them, in [0, 2**31).

    Returns:
      See `ResampledDraws`. A UserWarning says if k-hat is above 0.7.

    Raises:
      TypeError, ValueError: as in `fit`.
    """
    num_draws = as_positive_integer("num_draws", num_draws)
    found, smoothed = _weigh(
        model, surrogate, observed, num_proposals, seed, "importance_resample"
    )
    if smoothed.k_hat > pareto.RELIABLE:
        warnings.warn(
            f"`importance_resample` has a k-hat of {smoothed.k_hat:.2f}, above "
            f"{pareto.RELIABLE}: {pareto.advice(smoothed.k_hat)}.",
            UserWarning,
            stacklevel=2,
        )
    w = np.exp(smoothed.log_weights - smoothed.log_weights.max())
    w /= w.sum()
    key: dict[str, Any] = {
        "seed": seed,
        "step": 0,
        "purpose": "vi.importance_resample.choice",
    }
    offset = float(noise.uniform([], dtype=tf.float64, **key))
    levels = (np.arange(num_draws) + offset) / num_draws
    chosen = np.minimum(np.searchsorted(np.cumsum(w), levels), len(w) - 1)
    # Neighbours are no more alike than others.
    order = np.argsort(noise.words([num_draws], **key).numpy())
    return ResampledDraws(
        draws=tf.nest.map_structure(
            lambda values: values[chosen[order]], found.values
        ),
        k_hat=smoothed.k_hat,
        effective_sample_size=float(1.0 / np.sum(w * w)),
        advice=pareto.advice(smoothed.k_hat),
    )


def log_evidence(
    model: Any,
    surrogate: weights.Surrogate,
    num_draws: int = 50_000,
    *,
    observed: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> LogEvidence:
    """`log p(y) = log E_q[p(x, y) / q(x)]`, by Pareto-smoothed weights.

    Args:
      model: as in `build_flow_surrogate_posterior`.
      surrogate: a distribution of the model's structure, or what
        `build_auxiliary_surrogate_posterior` returned, fitted.
      num_draws: S.
      observed: values of an unpinned model, by name.
      seed: decides the draws, in [0, 2**31).

    Returns:
      See `LogEvidence`; the standard error is that of the mean of the weights,
      over that mean. A UserWarning says if k-hat is above 0.7.

    Raises:
      TypeError, ValueError: as in `fit`.
    """
    _, smoothed = _weigh(
        model, surrogate, observed, num_draws, seed, "log_evidence"
    )
    if smoothed.k_hat > pareto.RELIABLE:
        warnings.warn(
            f"`log_evidence` has a k-hat of {smoothed.k_hat:.2f}, above "
            f"{pareto.RELIABLE}, where its error is not known: "
            f"{pareto.advice(smoothed.k_hat)}.",
            UserWarning,
            stacklevel=2,
        )
    top = smoothed.log_weights.max()
    w = np.exp(smoothed.log_weights - top)
    return LogEvidence(
        log_evidence=float(top + math.log(w.mean())),
        standard_error=float(w.std(ddof=1) / w.mean() / math.sqrt(len(w))),
        k_hat=smoothed.k_hat,
    )


def _weigh(
    model: Any,
    surrogate: weights.Surrogate,
    observed: Mapping[str, Any] | None,
    num_draws: int,
    seed: int,
    name: str,
) -> tuple[weights.WeightedDraws, pareto.Smoothed]:
    noise.check_seed(seed)
    num_draws = as_integer("num_draws", num_draws, 25)  # a tail of 5
    log_prob = models.log_prob_of(model, observed)
    weights.check_start(log_prob, surrogate, seed)
    found = weights.draw_many(
        log_prob, surrogate, num_draws, seed=seed, purpose=f"vi.{name}"
    )
    if not np.isfinite(found.log_weights).any():
        raise ValueError(
            "`model` must have a finite log density at draws of the "
            "surrogate; got none."
        )
    return found, pareto.smooth(found.log_weights)
