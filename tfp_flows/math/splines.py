"""Monotone rational-quadratic splines on `[-B, B]`, the identity outside.

Each coordinate has knots of its own; they lie along axis -2, `[..., K + 1, D]`
for K bins, so that coordinates are contiguous and no value is gathered: the
bin of a point is the sum over all bins under a mask.
"""

from typing import NamedTuple

import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.math import constraints, implicit

__all__ = [
    "MIN_BIN",
    "MIN_SLOPE",
    "Knots",
    "forward",
    "inverse",
    "knots",
    "periodic_knots",
    "root",
    "unpack",
]

# The smallest bin, over the mean one.
MIN_BIN = 1e-2
# A power of two: at zeros the slopes are 1 to the last bit.
MIN_SLOPE = 2.0**-10

# Newton's method, after the closed form of the inverse: it takes off what the
# discriminant has lost to cancellation, and brings the derivatives.
_NEWTON_STEPS = 2


class Knots(NamedTuple):
    """Increasing `x` and `y` from -B to B, slopes > 0; `[..., K + 1, D]`."""

    x: tf.Tensor
    y: tf.Tensor
    slopes: tf.Tensor


class _Bin(NamedTuple):
    """The bin of every point: its lower left corner, sizes and slopes."""

    x: tf.Tensor
    y: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    left: tf.Tensor
    right: tf.Tensor


def knots(
    widths: tf.Tensor, heights: tf.Tensor, slopes: tf.Tensor, tail_bound: float
) -> Knots:
    """Knots from free reals; zeros are the identity.

    Bins are at least `MIN_BIN` of their mean, slopes at least `MIN_SLOPE`; at
    -B and B they are 1, so that the identity outside joins smoothly.

    Args:
      widths: logits of the widths, `[..., K, D]`.
      heights: logits of the heights, alike.
      slopes: those of the inner knots before a softplus, `[..., K - 1, D]`.
      tail_bound: B.
    """
    inner = _slopes(slopes)
    end = tf.ones_like(inner[..., :1, :])
    return Knots(
        _positions(widths, tail_bound),
        _positions(heights, tail_bound),
        tf.concat([end, inner, end], axis=-2),
    )


def periodic_knots(
    widths: tf.Tensor,
    heights: tf.Tensor,
    slopes: tf.Tensor,
    half_width: tf.Tensor | float,
) -> Knots:
    """Knots whose last slope is the first one; zeros are the identity.

    Args:
      widths: logits of the widths, `[..., K, D]`.
      heights: logits of the heights, alike.
      slopes: those of the first K knots before a softplus, alike.
      half_width: B, a number or `[..., 1, D]`.
    """
    slopes = _slopes(slopes)
    return Knots(
        _positions(widths, half_width),
        _positions(heights, half_width),
        tf.concat([slopes, slopes[..., :1, :]], axis=-2),
    )


def unpack(unconstrained: tf.Tensor, num_bins: int, tail_bound: float) -> Knots:
    """Knots from one tensor, `[..., 3 K - 1, D]`; zeros are the identity.

    First the K widths, then the K heights, then the K - 1 slopes, as `knots`
    takes them.
    """
    sizes = [num_bins, num_bins, num_bins - 1]
    widths, heights, slopes = tf.split(unconstrained, sizes, axis=-2)
    return knots(widths, heights, slopes, tail_bound)


def _slopes(free: tf.Tensor) -> tf.Tensor:
    shift = tf.constant(constraints.UNIT_SHIFT, free.dtype)
    slopes = tf.math.softplus(free + shift) / tf.math.softplus(shift)
    return MIN_SLOPE + (1.0 - MIN_SLOPE) * slopes


def _positions(logits: tf.Tensor, bound: tf.Tensor | float) -> tf.Tensor:
    """K + 1 numbers from -B to B, whose distances go as `exp(logits)`."""
    sizes = constraints.weights(logits, MIN_BIN)
    # The last one is B, not a sum that rounding makes another.
    inner = tf.cumsum(sizes[..., :-1, :], axis=-2)
    inner = bound * (2.0 * inner - 1.0)
    end = bound + tf.zeros_like(inner[..., :1, :])
    return tf.concat([-end, inner, end], axis=-2)


def forward(
    x: tf.Tensor, knots: Knots, closed: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log dy/dx)`, each `[..., D]`.

    In a bin of width w, height h, slopes d0 and d1, with `s = h / w`,
    `t = (x - x0) / w` and `r = 1 - t` (Gregory & Delbourgo 1982):

        y = y0 + h (s t**2 + d0 t r) / q,  q = s (t**2 + r**2) + (d0 + d1) t r
        dy/dx = s**2 (d1 t**2 + 2 s t r + d0 r**2) / q**2

    All terms are positive, so that nothing cancels.

    Args:
      x: points, `[..., D]`.
      knots: `[..., K + 1, D]`.
      closed: whether -B and B themselves are inside, with the slopes of the
        first and of the last knot.
    """
    is_inside, safe = _inside(x, knots.x, closed)
    bin_ = _bin(safe, knots.x, knots)
    y, log_slope = _forward_in_bin(safe, bin_)
    return (
        tf.where(is_inside, y, x),
        tf.where(is_inside, log_slope, tf.zeros_like(log_slope)),
    )


def inverse(
    y: tf.Tensor, knots: Knots, closed: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log dx/dy)` of `forward`, each `[..., D]`.

    The root of a quadratic equation; its gradients are those of the implicit
    function.

    Args:
      y: images, `[..., D]`.
      knots: `[..., K + 1, D]`.
      closed: that of `forward`.
    """

    def search(y: tf.Tensor, *knots: tf.Tensor) -> tf.Tensor:
        return root(y, Knots(*knots), closed)

    def update(x: tf.Tensor, y: tf.Tensor, *knots: tf.Tensor) -> tf.Tensor:
        return x + (y - forward(x, Knots(*knots), closed)[0])

    def pull_back(
        x_bar: tf.Tensor, x: tf.Tensor, y: tf.Tensor, *knots: tf.Tensor
    ) -> tf.Tensor:
        del y
        return x_bar * tf.exp(-forward(x, Knots(*knots), closed)[1])

    def refine(x: tf.Tensor, y: tf.Tensor, *knots: tf.Tensor) -> tf.Tensor:
        def equation(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            value, log_slope = forward(x, Knots(*knots), closed)
            return value - y, log_slope

        return implicit.newton(
            x, equation, lambda r, log_slope: r * tf.exp(-log_slope), 2
        )

    # In the shape of x, as derivatives are taken at one x each.
    shape = ps.broadcast_shape(ps.shape(y), ps.shape(knots.x[..., 0, :]))
    x = implicit.solution(
        search, update, pull_back, refine, [tf.broadcast_to(y, shape), *knots]
    )
    return x, -forward(x, knots, closed)[1]


def root(y: tf.Tensor, knots: Knots, closed: bool = False) -> tf.Tensor:
    """`x` of `inverse`; of its own derivatives the first is right."""
    is_inside, safe = _inside(y, knots.y, closed)
    bin_ = _bin(safe, knots.y, knots)
    low, high = bin_.x, bin_.x + bin_.width
    x = tf.stop_gradient(_quadratic_root(safe, bin_))
    for _ in range(_NEWTON_STEPS):
        value, log_slope = _forward_in_bin(x, bin_)
        x -= (value - safe) * tf.exp(-log_slope)
        # The bounds of the value bound no derivative.
        clipped = tf.clip_by_value(*map(tf.stop_gradient, (x, low, high)))
        x = clipped + (x - tf.stop_gradient(x))
    return tf.where(is_inside, x, y)


def _quadratic_root(y: tf.Tensor, bin_: _Bin) -> tf.Tensor:
    """The x in the bin, up to what the discriminant loses to cancellation."""
    rise = y - bin_.y
    slope = bin_.height / bin_.width
    bend = rise * (bin_.left + bin_.right - 2.0 * slope)
    # a t**2 + b t + c = 0, c <= 0; where b < 0, a > 0.
    a = bin_.height * (slope - bin_.left) + bend
    b = bin_.height * bin_.left - bend
    c = -slope * rise
    square_root = tf.sqrt(tf.maximum(tf.square(b) - 4.0 * a * c, 0.0))
    is_usual = b >= 0.0
    numerator = tf.where(is_usual, -2.0 * c, square_root - b)
    denominator = tf.where(is_usual, b + square_root, 2.0 * a)
    t = numerator / tf.where(denominator > 0.0, denominator, 1.0)
    return tf.clip_by_value(
        bin_.x + t * bin_.width, bin_.x, bin_.x + bin_.width
    )


def _inside(
    x: tf.Tensor, positions: tf.Tensor, closed: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether points are in `(-B, B)`, and points that are, for the others."""
    bound = positions[..., -1, :]
    if closed:
        is_inside = (x >= -bound) & (x <= bound)
    else:
        is_inside = (x > -bound) & (x < bound)
    return is_inside, tf.where(is_inside, x, tf.zeros_like(x))


def _bin(x: tf.Tensor, positions: tf.Tensor, knots: Knots) -> _Bin:
    """The bin whose `positions`, `knots.x` or `knots.y`, lie around `x`."""
    is_above = x[..., tf.newaxis, :] >= positions[..., 1:-1, :]
    # True from the first bin to the last one, in turn: one is True alone.
    edge = tf.ones_like(is_above[..., :1, :])
    starts = tf.concat([edge, is_above], axis=-2)
    ends = tf.concat([is_above, ~edge], axis=-2)
    is_here = starts & ~ends

    def pick(values: tf.Tensor) -> tf.Tensor:
        chosen = tf.where(is_here, values, tf.zeros([], values.dtype))
        return tf.reduce_sum(chosen, axis=-2)

    return _Bin(
        x=pick(knots.x[..., :-1, :]),
        y=pick(knots.y[..., :-1, :]),
        width=pick(knots.x[..., 1:, :] - knots.x[..., :-1, :]),
        height=pick(knots.y[..., 1:, :] - knots.y[..., :-1, :]),
        left=pick(knots.slopes[..., :-1, :]),
        right=pick(knots.slopes[..., 1:, :]),
    )


def _forward_in_bin(x: tf.Tensor, bin_: _Bin) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log dy/dx)` of points in their bins."""
    slope = bin_.height / bin_.width
    t = (x - bin_.x) / bin_.width
    r = 1.0 - t
    tt, tr, rr = t * t, t * r, r * r
    q = slope * (tt + rr) + (bin_.left + bin_.right) * tr
    y = bin_.y + bin_.height * (slope * tt + bin_.left * tr) / q
    numerator = bin_.right * tt + bin_.left * rr + 2.0 * slope * tr
    log_slope = tf.math.log(numerator / q) + tf.math.log(slope * slope / q)
    return y, log_slope
