"""How far two sets of draws are from one another: C2ST and MMD."""

import numpy as np
from scipy.spatial import distance
from sklearn import model_selection, neural_network

__all__ = ["classifier_two_sample_test", "squared_mmd"]

_ROWS = 1_000  # at a time: bounds the memory
_NUM_FOLDS = 5


def _by_reference(
    reference: np.ndarray, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both in the standard units of the reference, float64."""
    reference = np.asarray(reference, np.float64)
    loc, scale = reference.mean(axis=0), reference.std(axis=0)
    return (reference - loc) / scale, (draws - loc) / scale


def classifier_two_sample_test(
    reference: np.ndarray, draws: np.ndarray, *, seed: int = 0
) -> float:
    """The accuracy of a classifier that tells draws from reference draws.

    0.5: it cannot; 1: it always can. Five-fold cross-validation of a network
    of two hidden layers of `10 * D` units, on data in the standard units of
    the reference (Lopez-Paz and Oquab, 2017, https://arxiv.org/abs/1610.06545,
    as in the benchmark of Lueckmann et al., 2021).

    Args:
      reference: `[N, D]`.
      draws: `[N, D]`.
      seed: of folds and network.
    """
    x = np.concatenate(_by_reference(reference, draws))
    is_drawn = np.repeat([0, 1], [len(reference), len(draws)])
    units = 10 * x.shape[-1]
    classifier = neural_network.MLPClassifier(
        (units, units), max_iter=10_000, random_state=seed
    )
    folds = model_selection.KFold(_NUM_FOLDS, shuffle=True, random_state=seed)
    scores = model_selection.cross_val_score(
        classifier, x, is_drawn, cv=folds, scoring="accuracy"
    )
    return float(scores.mean())


def squared_mmd(reference: np.ndarray, draws: np.ndarray) -> float:
    """The squared maximum mean discrepancy, unbiased; it may be below 0.

        MMD^2 = E[k(x, x')] + E[k(y, y')] - 2 E[k(x, y)]

    with the Gaussian kernel `k(a, b) = exp(-|a - b|^2 / (2 s^2))` whose width s
    is the median distance of the reference draws (Gretton et al., 2012, JMLR).

    Args:
      reference: `[N, D]`, x.
      draws: `[M, D]`, y.
    """
    reference, draws = (
        np.asarray(part, np.float64) for part in (reference, draws)
    )
    width = np.median(distance.pdist(reference))

    def mean_kernel(x: np.ndarray, y: np.ndarray | None = None) -> float:
        if y is None:
            squares = distance.pdist(x, "sqeuclidean")
            return float(np.exp(-0.5 * squares / width**2).mean())
        parts = [
            np.exp(
                -0.5
                * distance.cdist(x[i : i + _ROWS], y, "sqeuclidean")
                / width**2
            ).sum()
            for i in range(0, len(x), _ROWS)
        ]
        return float(sum(parts) / (len(x) * len(y)))

    return (
        mean_kernel(reference)
        + mean_kernel(draws)
        - 2.0 * mean_kernel(reference, draws)
    )
