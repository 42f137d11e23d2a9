"""Symmetric convolution: multiplication of a signal's cosine transform.

The transform is the orthonormal DCT-II, `C`: the map is the symmetric matrix
`C' diag(magnitude) C`. It is the convolution of the signal's half-sample
symmetric extension, `x_0, ..., x_(N-1), x_(N-1), ..., x_0` repeated, with an
even kernel of period 2 N.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.math import constraints, tracing

__all__ = [
    "MAX_LOG_MAGNITUDE",
    "Magnitude",
    "convolve",
    "forward",
    "inverse",
    "response",
]

# Magnitudes between exp(-3) = 0.050 and exp(3) = 20.1.
MAX_LOG_MAGNITUDE = 3.0


class Magnitude(NamedTuple):
    """The positive factors `[..., N]` and the log-det of the map, `[...]`."""

    magnitude: tf.Tensor
    log_det: tf.Tensor


def response(
    unconstrained_log_magnitude: tf.Tensor,
    max_log_magnitude: float = MAX_LOG_MAGNITUDE,
) -> Magnitude:
    """`exp(c * tanh(a / c))`, `c = max_log_magnitude`; zeros give ones.

    Args:
      unconstrained_log_magnitude: `a`, `[..., N]`.
      max_log_magnitude: `c`, positive.
    """
    log_magnitude = constraints.bounded(
        unconstrained_log_magnitude, max_log_magnitude
    )
    return Magnitude(
        tf.exp(log_magnitude), tf.reduce_sum(log_magnitude, axis=-1)
    )


def forward(
    x: tf.Tensor, magnitude: tf.Tensor, log_det: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log|det dy/dx|)` of `x`, `[..., N]`; batch shapes broadcast.

    The other arguments are those of a `Magnitude`.
    """
    # The geometric mean of the magnitudes.
    gain = tf.exp(log_det / tf.cast(ps.shape(x)[-1], log_det.dtype))
    y = convolve(x, magnitude, gain)
    return y, tf.broadcast_to(log_det, ps.shape(y)[:-1])


def inverse(
    y: tf.Tensor, magnitude: tf.Tensor, log_det: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log|det dx/dy|)` of `y`: the convolution with `1 / magnitude`."""
    # In a graph `1 / magnitude` would be Eigen's reciprocal, inexact at 1.
    return forward(y, magnitude / tf.square(magnitude), -log_det)


def convolve(
    x: tf.Tensor, magnitude: tf.Tensor, gain: tf.Tensor | None = None
) -> tf.Tensor:
    """`idct(magnitude * dct(x))`, `[..., N]`; batch shapes broadcast.

    Its derivatives are of the same kind, of any order.

    Args:
      x: signals, `[..., N]`.
      magnitude: real factors of any sign, `[..., N]`.
      gain: `g`, `[...]`; the result is computed as
        `g * x + idct((magnitude - g) * dct(x))`. No choice changes anything
        but rounding; near `magnitude = g` nothing is left of the transforms'.
        Default: 0.
    """
    shape = ps.broadcast_shape(ps.shape(x), ps.shape(magnitude))
    x, magnitude = tf.broadcast_to(x, shape), tf.broadcast_to(magnitude, shape)
    if _is_empty(x.shape):
        gain = None  # Grappler divides by zero at an empty `gain * ones`.
    if gain is not None:
        gain = tf.stop_gradient(gain)[..., tf.newaxis]
    return _convolve(x, magnitude, gain)


def _convolve(
    x: tf.Tensor, magnitude: tf.Tensor, gain: tf.Tensor | None
) -> tf.Tensor:
    """`convolve` of tensors of one shape."""

    @tf.custom_gradient
    def convolved(
        x: tf.Tensor, magnitude: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
        def gradient(y_bar: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # In the graph of the gradient, which may be another one.
            kept_gain = None if gain is None else tf.identity(gain)
            x_bar = _convolve(y_bar, tf.identity(magnitude), kept_gain)
            return x_bar, _product(tf.identity(x), y_bar)

        excess = magnitude if gain is None else magnitude - gain
        y = _transform(tf.signal.idct, excess * _transform(tf.signal.dct, x))
        return y if gain is None else gain * x + y, gradient

    return convolved(x, magnitude)


def _product(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """`dct(x) * dct(y)`."""

    @tf.custom_gradient
    def product(
        x: tf.Tensor, y: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
        def gradient(bar: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tuple(
                _convolve(tf.identity(value), bar, None) for value in (y, x)
            )

        transforms = (_transform(tf.signal.dct, value) for value in (x, y))
        return tf.multiply(*transforms), gradient

    return product(x, y)


def _transform(dct: Callable[..., tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    if _is_empty(x.shape):  # which `tf.signal.dct` does not take
        return tf.identity(x)
    tracing.check_transform(x.dtype)
    return tf.ensure_shape(dct(x, norm="ortho"), x.shape)


def _is_empty(shape: tf.TensorShape) -> bool:
    return shape.rank is not None and 0 in shape
