"""Pareto-smoothed importance weights, and the k-hat that says if they hold.

The largest M of S weights are fitted by a generalized Pareto distribution,

    P(w > u + t) = (1 + k t / sigma)**(-1/k),    M = min(S/5, 3 sqrt(S)),

and replaced by its quantiles. The k-th moments exist up to order 1/k: from
k = 0.5 on the variance of the plain weights is infinite, above about 0.7 the
smoothed ones fail as well, and above 1 they have no mean.

References:
1. A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J. Gabry. Pareto Smoothed
   Importance Sampling. JMLR 2024. https://arxiv.org/abs/1507.02646
2. J. Zhang and M. Stephens. A New and Efficient Estimation Method for the
   Generalized Pareto Distribution. Technometrics 2009.
3. Y. Yao, A. Vehtari, D. Simpson and A. Gelman. Yes, but Did It Work?:
   Evaluating Variational Inference. ICML 2018.
   https://arxiv.org/abs/1802.02538
"""

import math
from typing import NamedTuple

import numpy as np

__all__ = ["RELIABLE", "Smoothed", "advice", "fit_tail", "smooth"]

RELIABLE = 0.7
_FEWEST = 5  # in a tail that can be fitted
_ROUNDING = 1e-5  # of float32, in a log density
_PRIOR_DRAWS, _PRIOR_K = 10.0, 0.5  # of k, appendix C of [1]


class Smoothed(NamedTuple):
    """Importance weights with a smoothed tail.

    Attributes:
      log_weights: `[S]`, in nats, not normalised.
      k_hat: shape of the tail; infinite if it could not be fitted.
    """

    log_weights: np.ndarray
    k_hat: float


def smooth(log_weights: np.ndarray) -> Smoothed:
    """The weights with the largest of them replaced by Pareto's quantiles.

    Args:
      log_weights: `[S]`, in nats.
    """
    log_weights = np.asarray(log_weights, np.float64)
    count = len(log_weights)
    size = math.ceil(min(0.2 * count, 3.0 * math.sqrt(count)))
    top = log_weights.max()
    order = np.argsort(log_weights)
    tail = order[-size:]
    threshold = log_weights[order[-size - 1]] if size < count else -np.inf
    weights = np.exp(log_weights[tail] - top)  # in their order
    cutoff = math.exp(threshold - top)
    if size < _FEWEST or not np.isfinite(top):
        return Smoothed(log_weights, math.inf)
    if 1.0 - cutoff <= _ROUNDING:
        return Smoothed(log_weights, -math.inf)  # they are all the same
    k, sigma = fit_tail(weights - cutoff)
    if not np.isfinite(k):
        return Smoothed(log_weights, math.inf)
    levels = (np.arange(size) + 0.5) / size
    log_survival = np.log1p(-levels)
    quantiles = (
        -sigma * log_survival
        if abs(k) < 1e-12
        else sigma * np.expm1(-k * log_survival) / k
    )
    smoothed = log_weights.copy()
    # No weight is made larger than the largest one was.
    smoothed[tail] = np.minimum(np.log(cutoff + quantiles), 0.0) + top
    return Smoothed(smoothed, k)


def fit_tail(excesses: np.ndarray) -> tuple[float, float]:
    """Shape k and scale sigma of a generalized Pareto distribution.

    The posterior mean of `b = -k / sigma` on a grid, under the profile
    likelihood, as in [2]; k is then drawn towards 0.5 by ten draws' worth, as
    in [1].

    Args:
      excesses: `[M]`, at least 0, in ascending order.
    """
    count = len(excesses)
    num_points = 30 + math.isqrt(count)
    quartile = excesses[math.floor(count / 4 + 0.5) - 1]
    if not (quartile > 0.0 and excesses[-1] > 0.0):
        return math.inf, math.nan
    points = np.arange(1, num_points + 1) - 0.5
    b = (1.0 - np.sqrt(num_points / points)) / (3.0 * quartile)
    b += 1.0 / excesses[-1]
    k = np.log1p(-b[:, np.newaxis] * excesses).mean(axis=1)
    log_likelihood = count * (np.log(-b / k) - k - 1.0)
    # The same as a softmax, without overflow.
    weights = 1.0 / np.exp(
        np.minimum(log_likelihood - log_likelihood[:, np.newaxis], 700.0)
    ).sum(axis=1)
    mean_b = (b * weights).sum() / weights.sum()
    shape = float(np.log1p(-mean_b * excesses).mean())
    scale = -shape / mean_b
    shape = (count * shape + _PRIOR_DRAWS * _PRIOR_K) / (count + _PRIOR_DRAWS)
    return shape, float(scale)


def advice(k_hat: float) -> str:
    """What a k-hat says of a surrogate posterior, and what to do about it."""
    if k_hat < 0.5:
        return (
            "the surrogate covers the posterior: `importance_resample` corrects"
            " what is left, and `log_evidence` is reliable"
        )
    if k_hat < RELIABLE:
        return (
            "`importance_resample` and `log_evidence` are usable, with many "
            "draws"
        )
    if k_hat < 1.0:
        return (
            "importance weights are not reliable: fit with more steps or draws,"
            " take a flow with more steps, or correct by `neutra`"
        )
    return (
        "the surrogate misses mass of the posterior, and importance weights "
        "have no mean: fit longer or with another flow, check by `neutra`, "
        "or write the model in other coordinates (non-centred scales)"
    )
