"""Circular convolution with a real kernel that is given by its spectrum.

The event is the signal `[N]`, or an image `[H, W]` or volume `[D, H, W]`
(`event_ndims` 2 or 3), which wraps around on every axis. The functions take
apart what a convolution is: `response(parameters)` gives the arguments of
`forward` and `inverse`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.math import constraints, tracing

__all__ = [
    "MAX_LOG_MAGNITUDE",
    "Response",
    "convolve",
    "forward",
    "inverse",
    "kernel",
    "mirror",
    "response",
    "spectrum_of_kernel",
]

# Magnitudes between exp(-3) = 0.050 and exp(3) = 20.1.
MAX_LOG_MAGNITUDE = 3.0

_FFT = {1: tf.signal.fft, 2: tf.signal.fft2d, 3: tf.signal.fft3d}
_RFFT = {1: tf.signal.rfft, 2: tf.signal.rfft2d, 3: tf.signal.rfft3d}
_IRFFT = {1: tf.signal.irfft, 2: tf.signal.irfft2d, 3: tf.signal.irfft3d}


class Response(NamedTuple):
    """The frequency response of a real kernel, and the log-det of the map.

    `real` and `imaginary` hold the bins that `tf.signal.rfft` keeps, the first
    `N // 2 + 1` of the last axis and all of the others; the rest are their
    complex conjugates. `log_det`, `[...]`, counts all the bins.
    """

    real: tf.Tensor
    imaginary: tf.Tensor
    log_det: tf.Tensor


def response(
    unconstrained_spectrum: tf.Tensor,
    max_log_magnitude: float = MAX_LOG_MAGNITUDE,
    event_ndims: int = 1,
) -> Response:
    """A response without zeros, from free real numbers, one for each bin.

    With `A(-n)` the entry of the opposite frequency, indices modulo N:

        log|K(n)| = c * tanh((A(n) + A(-n)) / (2 * c)),    c = max_log_magnitude
        phase of K(n) = (A(n) - A(-n)) / 2

    so that `K(-n)` is the conjugate of `K(n)`, as a real kernel needs, also
    at the frequencies that are their own opposite (0 and, for even N, N / 2),
    where `K > 0`. Zeros give `K = 1`, the identity.

    Args:
      unconstrained_spectrum: `A`, of the shape of the event, `[..., N]`.
      max_log_magnitude: `c`, positive.
      event_ndims: number of axes of the event.
    """
    size = ps.shape(unconstrained_spectrum)[-1]
    opposite = mirror(unconstrained_spectrum, event_ndims)
    a = unconstrained_spectrum[..., : size // 2 + 1]
    opposite = opposite[..., : size // 2 + 1]
    log_magnitude = constraints.bounded(0.5 * (a + opposite), max_log_magnitude)
    phase = 0.5 * (a - opposite)
    magnitude = tf.exp(log_magnitude)
    return Response(
        real=magnitude * tf.cos(phase),
        imaginary=magnitude * tf.sin(phase),
        log_det=tf.reduce_sum(
            _multiplicity(size, a.dtype) * log_magnitude, _axes(event_ndims)
        ),
    )


def forward(
    x: tf.Tensor,
    real: tf.Tensor,
    imaginary: tf.Tensor,
    log_det: tf.Tensor,
    event_ndims: int = 1,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log|det dy/dx|)` of `x`, `[..., N]`; batch shapes broadcast.

    The other arguments but the last are those of a `Response`.
    """
    size = ps.reduce_prod(ps.shape(x)[-event_ndims:])
    # The geometric mean of the magnitudes.
    gain = tf.exp(log_det / tf.cast(size, log_det.dtype))
    y = convolve(x, real, imaginary, gain, event_ndims)
    return y, tf.broadcast_to(log_det, ps.shape(y)[:-event_ndims])


def inverse(
    y: tf.Tensor,
    real: tf.Tensor,
    imaginary: tf.Tensor,
    log_det: tf.Tensor,
    event_ndims: int = 1,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log|det dx/dy|)` of `y`: the convolution with response `1 / K`."""
    squared = tf.square(real) + tf.square(imaginary)
    return forward(
        y, real / squared, -imaginary / squared, -log_det, event_ndims
    )


def kernel(
    real: tf.Tensor,
    imaginary: tf.Tensor,
    log_det: tf.Tensor,
    event_shape: tf.TensorShape | tf.Tensor,
) -> tf.Tensor:
    """The kernel `k = irfft(K)`, `[..., N]`: what the unit impulse becomes.

    It is the first column of the circulant matrix `C[i, n] = k[(i - n) mod N]`.

    Args:
      real: of the `Response`.
      imaginary: of the `Response`.
      log_det: of the `Response`.
      event_shape: the shape of a signal.
    """
    event_ndims = ps.rank_from_shape(event_shape)
    impulse = tf.one_hot(0, ps.reduce_prod(event_shape), dtype=real.dtype)
    impulse = tf.reshape(impulse, event_shape)
    return forward(impulse, real, imaginary, log_det, event_ndims)[0]


def spectrum_of_kernel(
    kernel: tf.Tensor,
    max_log_magnitude: float = MAX_LOG_MAGNITUDE,
    event_ndims: int = 1,
) -> tf.Tensor:
    """The `unconstrained_spectrum` of a kernel, `[..., N]`.

    A response that `response` cannot give is changed to one that it can:
    magnitudes outside of the bound to the bound, and signs at the frequencies
    that are their own opposite to plus.
    """
    transform = _FFT[event_ndims](tf.complex(kernel, tf.zeros_like(kernel)))
    real, imaginary = tf.math.real(transform), tf.math.imag(transform)
    ratio = tf.math.log(tf.abs(transform)) / max_log_magnitude
    limit = 1.0 - float(np.finfo(kernel.dtype.as_numpy_dtype).eps)
    ratio = tf.math.atanh(tf.clip_by_value(ratio, -limit, limit))
    even = 0.5 * max_log_magnitude * (ratio + mirror(ratio, event_ndims))
    # Odd by construction, where rounding decides between pi and -pi too.
    phase = tf.atan2(imaginary, real)
    order = _order(ps.shape(kernel)[-event_ndims:])
    odd = tf.where(order > 0, phase, -mirror(phase, event_ndims))
    return even + tf.where(tf.equal(order, 0), tf.zeros_like(odd), odd)


def mirror(spectrum: tf.Tensor, event_ndims: int = 1) -> tf.Tensor:
    """`A(-n)`: the spectrum at the opposite frequencies, modulo N."""
    axes = _axes(event_ndims)
    # Counted from the front: tf.vectorized_map takes a negative axis of tf.roll
    # for one of the batch.
    from_front = [ps.rank(spectrum) + axis for axis in axes]
    return tf.roll(tf.reverse(spectrum, axes), [1] * event_ndims, from_front)


def convolve(
    x: tf.Tensor,
    real: tf.Tensor,
    imaginary: tf.Tensor,
    gain: tf.Tensor | None = None,
    event_ndims: int = 1,
) -> tf.Tensor:
    """`irfft(K * rfft(x))`, `K = real + i * imaginary`, of the shape of `x`.

    Its derivatives are convolutions, of any order: none goes through
    TensorFlow's own for transforms, which cost a matrix product in two
    dimensions and do not exist in three. Under `tf.vectorized_map`, which drops
    custom gradients, a gradient from outside of the map takes those: right, but
    a LookupError in three dimensions.

    Args:
      x: signals, `[..., N]`.
      real: the half spectrum of `Response`, `[..., N // 2 + 1]`.
      imaginary: alike.
      gain: `g`, `[...]`; the result is computed as
        `g * x + irfft((K - g) * rfft(x))`. No choice changes anything but
        rounding; near `K = g` nothing is left of the transforms'. Default: 0.
      event_ndims: number of axes of a signal.
    """
    x_shape, real_shape = ps.shape(x), ps.shape(real)
    batch_shape = ps.broadcast_shape(
        x_shape[:-event_ndims], real_shape[:-event_ndims]
    )

    def broadcast(value: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        full = ps.concat([batch_shape, shape[-event_ndims:]], axis=0)
        return tf.broadcast_to(value, full)

    x = broadcast(x, x_shape)
    if x.shape.rank is not None and 0 in x.shape:
        gain = None  # Grappler divides by zero at an empty `gain * ones`.
    if gain is not None:
        gain = tf.stop_gradient(gain)[(..., *[tf.newaxis] * event_ndims)]
    return _convolve(
        x,
        broadcast(real, real_shape),
        broadcast(imaginary, real_shape),
        gain,
        event_ndims,
    )


def _convolve(
    x: tf.Tensor,
    real: tf.Tensor,
    imaginary: tf.Tensor,
    gain: tf.Tensor | None,
    event_ndims: int,
) -> tf.Tensor:
    """`convolve` of tensors of one batch shape."""

    @tf.custom_gradient
    def convolved(
        x: tf.Tensor, real: tf.Tensor, imaginary: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
        def gradient(y_bar: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # In the graph of the gradient, which may be another one: a
            # derivative of it would not find its way to them from there.
            kept_x, kept_real = tf.identity(x), tf.identity(real)
            kept_gain = None if gain is None else tf.identity(gain)
            x_bar = _convolve(
                y_bar, kept_real, -imaginary, kept_gain, event_ndims
            )
            return x_bar, *_correlate(kept_x, y_bar, event_ndims)

        excess = real if gain is None else real - gain
        spectrum = tf.complex(excess, imaginary) * _rfft(x, event_ndims)
        y = _irfft(spectrum, x, event_ndims)
        return y if gain is None else gain * x + y, gradient

    return convolved(x, real, imaginary)


def _correlate(
    x: tf.Tensor, y: tf.Tensor, event_ndims: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradient of `<y, convolve(x, real, imaginary)>` to the last two."""

    @tf.custom_gradient
    def correlated(
        x: tf.Tensor, y: tf.Tensor
    ) -> tuple[
        tuple[tf.Tensor, tf.Tensor],
        Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    ]:
        def gradient(
            real_bar: tf.Tensor, imaginary_bar: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            kept_x, kept_y = tf.identity(x), tf.identity(y)
            return (
                _convolve(kept_y, real_bar, -imaginary_bar, None, event_ndims),
                _convolve(kept_x, real_bar, imaginary_bar, None, event_ndims),
            )

        product = tf.math.conj(_rfft(x, event_ndims)) * _rfft(y, event_ndims)
        shape = ps.shape(x)[-event_ndims:]
        weight = _multiplicity(shape[-1], x.dtype) / tf.cast(
            ps.reduce_prod(shape), x.dtype
        )
        real = weight * tf.math.real(product)
        return (real, weight * tf.math.imag(product)), gradient

    return correlated(x, y)


def _rfft(x: tf.Tensor, event_ndims: int) -> tf.Tensor:
    tracing.check_transform(x.dtype)
    return _RFFT[event_ndims](x, ps.shape(x)[-event_ndims:])


def _irfft(spectrum: tf.Tensor, like: tf.Tensor, event_ndims: int) -> tf.Tensor:
    """Without the length, an odd N would come back as N - 1."""
    y = _IRFFT[event_ndims](spectrum, ps.shape(like)[-event_ndims:])
    return tf.ensure_shape(y, like.shape)


def _axes(event_ndims: int) -> list[int]:
    return list(range(-event_ndims, 0))


def _multiplicity(size: int | tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """How many of the N bins of the last axis each kept one stands for."""
    bins = tf.range(size // 2 + 1)
    is_own_opposite = tf.equal(bins, 0) | tf.equal(2 * bins, size)
    one = tf.ones([], dtype)
    return tf.where(is_own_opposite, one, 2.0 * one)


def _order(event_shape: tf.Tensor) -> tf.Tensor:
    """Of each pair of opposite frequencies, 1 at one, -1 at the other.

    0 at the frequencies that are their own opposite.
    """
    bins = tf.range(ps.reduce_prod(event_shape))
    bins = tf.reshape(bins, event_shape)
    return tf.sign(mirror(bins, ps.rank_from_shape(event_shape)) - bins)
