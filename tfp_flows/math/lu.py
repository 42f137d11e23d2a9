"""Linear maps `x -> L U x` with a triangular log-det."""

from typing import NamedTuple

import tensorflow as tf

from tfp_flows.math import linear

__all__ = ["Factors", "factors", "forward", "inverse"]


class Factors(NamedTuple):
    """L of unit diagonal, U of diagonal `exp(log_diagonal)`; `[..., D, D]`."""

    lower: tf.Tensor
    upper: tf.Tensor
    log_diagonal: tf.Tensor


def factors(lower_upper: tf.Tensor) -> Factors:
    """What is below, on and above the diagonal; zeros are the identity.

    Args:
      lower_upper: `[..., D, D]`: below the diagonal that of L, on it the
        logarithm of U's, above it that of U.
    """
    log_diagonal = tf.linalg.diag_part(lower_upper)
    zeros = tf.zeros_like(log_diagonal)
    above_or_on = tf.linalg.band_part(lower_upper, 0, -1)
    below_or_on = tf.linalg.band_part(lower_upper, -1, 0)
    return Factors(
        lower=tf.linalg.set_diag(below_or_on, tf.ones_like(zeros)),
        upper=tf.linalg.set_diag(above_or_on, tf.exp(log_diagonal)),
        log_diagonal=log_diagonal,
    )


def forward(x: tf.Tensor, factors: Factors) -> tuple[tf.Tensor, tf.Tensor]:
    """`(L U x, log|det|)` of points `[..., D]`."""
    y = linear.times(factors.lower, linear.times(factors.upper, x))
    return y, _log_det(y, factors)


def inverse(y: tf.Tensor, factors: Factors) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log|det dx/dy|)` of `forward`."""
    x = linear.solve_triangular(factors.lower, y, lower=True)
    x = linear.solve_triangular(factors.upper, x, lower=False)
    return x, -_log_det(x, factors)


def _log_det(x: tf.Tensor, factors: Factors) -> tf.Tensor:
    log_det = tf.reduce_sum(factors.log_diagonal, axis=-1)
    return log_det + tf.zeros_like(x[..., 0])
