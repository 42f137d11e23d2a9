"""The S-Log map `y = sign(x) * log(1 + a * |x|) / a` and its inverse.

Where `a * |y|` exceeds `m = max_exponent`, both go on along the tangent, so
that they are finite, and each other's inverse, on the whole line:

    a * |y| = m + (a * |x| + 1) * exp(-m) - 1        where  a * |x| > exp(m) - 1
"""

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.math import implicit, tracing

__all__ = ["MAX_EXPONENT", "forward", "inverse"]

# The straight parts begin at a * |x| = 8.9e6. The inverse grows by at most
# exp(16) there, so that four of them in a row stay within float32.
MAX_EXPONENT = 16.0

# Below it the derivative to `a` is a series, above it a difference.
_SERIES_LIMIT = 0.25
# Of the series in t**2, where t = u / (2 + u) <= 1 / 9: eps is t**(2 * 8).
_NUM_TERMS = 9

# The series of log1p(u) / u and of expm1(v) / v.
_LOG1P = (1.0, -1.0 / 2.0, 1.0 / 3.0, -1.0 / 4.0, 1.0 / 5.0)
_EXPM1 = (1.0, 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0)


def forward(
    x: tf.Tensor, slope: tf.Tensor, max_exponent: float = MAX_EXPONENT
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log|det dy/dx|)` of `x`, `[..., D]`.

    Args:
      x: the points.
      slope: `a > 0`, `[..., D]`.
      max_exponent: `m`, positive.
    """
    x, slope = _broadcast(x, slope)
    u = tf.minimum(slope * tf.abs(x), math.expm1(max_exponent))
    log_det = -tf.reduce_sum(tf.math.log1p(u), axis=-1)
    return _compress(x, slope, max_exponent), log_det


def inverse(
    y: tf.Tensor, slope: tf.Tensor, max_exponent: float = MAX_EXPONENT
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log|det dx/dy|)` of any `y`, `[..., D]`.

    Args:
      y: the images.
      slope: `a > 0`, `[..., D]`.
      max_exponent: `m`, positive.
    """
    y, slope = _broadcast(y, slope)
    log_det = tf.reduce_sum(
        tf.minimum(slope * tf.abs(y), max_exponent), axis=-1
    )
    return _expand(y, slope, max_exponent), log_det


def _broadcast(x: tf.Tensor, slope: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shape = ps.broadcast_shape(ps.shape(x), ps.shape(slope))
    return tf.broadcast_to(x, shape), tf.broadcast_to(slope, shape)


def _compress(x: tf.Tensor, slope: tf.Tensor, max_exponent: float) -> tf.Tensor:
    """`y`; the sign at 0 and the quotient by a tiny `a` have no derivative."""
    largest = math.expm1(max_exponent)

    @tf.custom_gradient
    def compressed(
        x: tf.Tensor, slope: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
        def gradient(y_bar: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            u = tf.minimum(slope * tf.abs(x), largest)
            y_slope = _derivative_to_slope(x, slope, max_exponent)
            return y_bar / (1.0 + u), y_bar * y_slope

        u = slope * tf.abs(x)
        v = tf.math.log1p(tf.minimum(u, largest))
        v += tf.maximum(u - largest, 0.0) / (1.0 + largest)
        return x * _ratio(v, u, _LOG1P), gradient

    return compressed(x, slope)


def _expand(y: tf.Tensor, slope: tf.Tensor, max_exponent: float) -> tf.Tensor:
    """`x`; its derivatives are those of the implicit function."""

    @tf.custom_gradient
    def expanded(
        y: tf.Tensor, slope: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
        def gradient(x_bar: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # In the graph of the gradient, which may be another one.
            kept_y, kept_slope = tf.identity(y), tf.identity(slope)
            x = _expand(kept_y, kept_slope, max_exponent)
            v = tf.minimum(kept_slope * tf.abs(kept_y), max_exponent)
            y_bar = x_bar * tf.exp(v)
            y_slope = _derivative_to_slope(x, kept_slope, max_exponent)
            return y_bar, -y_bar * y_slope

        v = slope * tf.abs(y)
        u = tf.math.expm1(tf.minimum(v, max_exponent))
        u += tf.maximum(v - max_exponent, 0.0) * math.exp(max_exponent)
        return y * _ratio(u, v, _EXPM1), gradient

    return expanded(y, slope)


def _ratio(
    numerator: tf.Tensor,
    denominator: tf.Tensor,
    coefficients: tuple[float, ...],
) -> tf.Tensor:
    """`n / d` of two functions that agree near 0: 1 where `d` underflows.

    Its own derivative cancels near 0. In a vectorized map, which drops custom
    gradients, it is that of a series; elsewhere it is refused.
    """
    info = np.finfo(denominator.dtype.as_numpy_dtype)
    is_vectorized = tracing.in_vectorized_map()
    limit = (
        info.eps ** (1.0 / len(coefficients)) if is_vectorized else info.tiny
    )
    is_near = denominator < float(limit)
    one = tf.ones_like(denominator)
    far = numerator / tf.where(is_near, one, denominator)
    if not is_vectorized:
        return implicit.guarded(tf.where(is_near, one, far))
    near = tf.where(is_near, denominator, tf.zeros_like(denominator))
    series = coefficients[-1] * near
    for coefficient in coefficients[-2:0:-1]:
        series = (series + coefficient) * near
    return tf.where(is_near, series + coefficients[0], far)


def _derivative_to_slope(
    x: tf.Tensor, slope: tf.Tensor, max_exponent: float
) -> tf.Tensor:
    """`dy/da = sign(x) * (u / (1 + u) - log(1 + u)) / a**2`, `u = a * |x|`.

    The difference cancels near 0, where it is `-u**2 / 2`.
    """
    u = slope * tf.abs(x)
    is_near = u < _SERIES_LIMIT
    # In t = u / (2 + u), log(1 + u) = 2 * atanh(t).
    near_u = tf.where(is_near, u, tf.zeros_like(u))
    near_x = tf.where(is_near, x, tf.zeros_like(x))
    t = near_u / (2.0 + near_u)
    series = tf.zeros_like(t)
    for k in reversed(range(_NUM_TERMS)):
        series = series * tf.square(t) + 1.0 / (2 * k + 3)
    series = -0.5 * tf.square(1.0 - t) * (1.0 / (1.0 + t) + t * series)
    # On the straight part the difference is that at its beginning.
    far_u = tf.minimum(u, math.expm1(max_exponent))
    far_slope = tf.where(is_near, tf.ones_like(slope), slope)
    difference = far_u / (1.0 + far_u) - tf.math.log1p(far_u)
    return tf.where(
        is_near,
        near_x * tf.abs(near_x) * series,
        tf.sign(x) * difference / tf.square(far_slope),
    )
