"""A random walk's evidence and moments, by quadrature over its two scales."""

from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = ["RandomWalk", "integrate"]


class RandomWalk(NamedTuple):
    """What `integrate` finds.

    Attributes:
      log_normalizer: the log evidence, in nats.
      mean: of innovation scale, observation scale, then places, `[2 + T]`.
      sd: likewise.
    """

    log_normalizer: float
    mean: np.ndarray
    sd: np.ndarray


def integrate(
    observed: np.ndarray,
    log_scale_sd: float = 2.0,
    num_points: int = 80,
    low: tuple[float, float] = (-4.5, -12.0),
    high: tuple[float, float] = (1.0, 0.5),
) -> RandomWalk:
    """Moments of the posterior of `x_t ~ N(x_(t-1), r^2)`, `y_t ~ N(x_t, s^2)`.

    The walk begins at 0, and `log r` and `log s` are `N(0, log_scale_sd^2)` a
    priori. Given both, x is Gaussian; over both the trapezoidal rule is as good
    as exact, as the density and its derivatives vanish at the grid's ends.

    Args:
      observed: y, `[T]`; NaN where there is none.
      log_scale_sd: of the prior.
      num_points: of the grid, along each axis.
      low: its first values of `log r` and of `log s`.
      high: its last ones.
    """
    log_r, log_s = (
        np.linspace(*ends, num_points) for ends in zip(low, high, strict=True)
    )
    steps = np.arange(1.0, len(observed) + 1.0)
    walk = np.exp(2.0 * log_r)[:, None, None] * np.minimum.outer(steps, steps)
    is_seen = ~np.isnan(observed)
    y, num_seen = observed[is_seen], int(is_seen.sum())
    # Axes: r, s, then those of matrices.
    noise = np.exp(2.0 * log_s)[:, None, None] * np.eye(num_seen)
    covariance = walk[:, None, is_seen][..., is_seen] + noise
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, y[:, None])[..., 0]
    log_diagonal = np.log(np.diagonal(factor, axis1=-2, axis2=-1))
    log_joint = (
        -0.5 * np.sum(white**2, axis=-1)
        - np.sum(log_diagonal, axis=-1)
        - 0.5 * num_seen * np.log(2.0 * np.pi)
        + stats.norm(0.0, log_scale_sd).logpdf(log_r)[:, None]
        + stats.norm(0.0, log_scale_sd).logpdf(log_s)
    )
    top = log_joint.max()
    weights = np.exp(log_joint - top)
    area = (log_r[1] - log_r[0]) * (log_s[1] - log_s[0])
    log_normalizer = float(top + np.log(weights.sum() * area))
    weights /= weights.sum()
    gain = np.linalg.solve(factor, walk[:, None, is_seen])
    place = np.einsum("rsnt,rsn->rst", gain, white)
    variance = np.diagonal(walk, axis1=-2, axis2=-1)[:, None] - np.sum(
        gain**2, axis=-2
    )
    scales = np.broadcast_arrays(np.exp(log_r)[:, None], np.exp(log_s))
    means = np.concatenate([np.stack(scales, axis=-1), place], axis=-1)
    variances = np.concatenate(
        [np.zeros([num_points, num_points, 2]), variance], axis=-1
    )
    mean = np.einsum("rs,rsv->v", weights, means)
    second = np.einsum("rs,rsv->v", weights, variances + (means - mean) ** 2)
    return RandomWalk(log_normalizer, mean, np.sqrt(second))
