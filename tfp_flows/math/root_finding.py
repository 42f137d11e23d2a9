"""Bracketed root searches: of `s + c * tanh(s) = t`, of any increasing map.

The gradients of `tanh_root` are those of the implicit function. A search by
`monotone_root` has none; `implicit.solution` gives them to its result.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_flows.math import implicit, stable, tracing

__all__ = [
    "MAX_MONOTONE_STEPS",
    "MAX_STEPS",
    "monotone_root",
    "tanh_root",
]

# From the brackets below Newton's method needs at most 8 steps (measured for
# 1 + c and |t| from 1e-250 to 1e250 in float64, 1e-30 to 1e30 in float32).
MAX_STEPS = 12

# Enough for Newton's method and bisection together, whatever the function:
# bisection alone takes 53 steps to the last bit of float64 in a bracket as wide
# as the root is far from 0, and Newton's method doubles the digits once near.
MAX_MONOTONE_STEPS = 64

# The search stops at a residual of this many eps of the largest term.
_RESIDUAL_IN_EPS = 1.0


def tanh_root(c: tf.Tensor, q: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    """The one root `s` of `s + c * tanh(s) = t`, where `c = q - 1 > -1`.

    The left side is odd and increasing, its slope `tanh(s)**2 + q *
    sech(s)**2` is positive. For `t >= 0` the root lies in a bracket that
    is narrow at every scale of `c` and `t`; on it the left side is concave
    (`c >= 0`) or convex (`c < 0`), so that Newton's method, started at the
    lower or the upper end, moves to the root from one side and stays within
    the bracket. Where only rounding leads it out, the bracket is halved.

    Derivatives are those of the implicit function, up to the third order; none
    passes through the search.

        ds/dt = 1 / slope,    ds/dc = -tanh(s) / slope

    Args:
      c: slope parameter, `[...]`.
      q: `1 + c` without cancellation, `[...]`.
      t: right side, `[...]`.

    Returns:
      The roots, in the broadcast shape; finite for all finite arguments.
    """
    return implicit.newton(
        _search(*map(tf.stop_gradient, (c, q, t))),
        lambda s: (s + c * tf.tanh(s) - t, _slope(s, q)),
        tf.divide,
        num_steps=2,  # three orders
    )


def _slope(s: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
    return tf.square(tf.tanh(s)) + q * stable.sech_squared(s)


def _search(c: tf.Tensor, q: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
    eps = tf.constant(np.finfo(t.dtype.as_numpy_dtype).eps, t.dtype)
    shape = tf.broadcast_dynamic_shape(tf.shape(c), tf.shape(t))
    c, q, t = (tf.broadcast_to(a, shape) for a in (c, q, t))
    sign, t = tf.sign(t), tf.abs(t)
    low, high = _bracket(c, q, t)
    start = tf.where(c < 0.0, high, low)

    is_counting = tracing.counts_only()

    def is_active(
        s: tf.Tensor, low: tf.Tensor, high: tf.Tensor, active: tf.Tensor
    ) -> tf.Tensor:
        del s, low, high
        return tf.constant(True) if is_counting else tf.reduce_any(active)

    def step(
        s: tf.Tensor, low: tf.Tensor, high: tf.Tensor, active: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        bend = c * tf.tanh(s)
        residual = (s - t) + bend
        largest = tf.maximum(tf.maximum(s, t), tf.abs(bend))
        low = tf.where(residual <= 0.0, s, low)
        high = tf.where(residual >= 0.0, s, high)
        newton = s - residual / _slope(s, q)
        is_inside = (newton >= low) & (newton <= high)
        next_s = tf.where(is_inside, newton, low + 0.5 * (high - low))
        active &= tf.abs(residual) > _RESIDUAL_IN_EPS * eps * largest
        active &= tf.not_equal(next_s, s)
        return tf.where(active, next_s, s), low, high, active

    s, _, _, _ = tf.while_loop(
        is_active,
        step,
        (start, low, high, tf.ones_like(start, tf.bool)),
        maximum_iterations=MAX_STEPS,
    )
    return sign * s


def monotone_root(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    low: tf.Tensor,
    high: tf.Tensor,
    tolerance: tf.Tensor | float = 0.0,
) -> tf.Tensor:
    """The root of an increasing function, element by element.

    Newton's method, started in the middle of the bracket. Where its step
    would leave the bracket, or is more than half the step before, the bracket
    is halved instead, so that flat and steep parts do no harm.

    No gradients: pass tensors behind `tf.stop_gradient`, also in `function`.

    Args:
      function: maps points `[...]` to `(value, slope)`, alike, both finite;
        the root is where the value is 0. A slope may be 0.
      low: `value <= 0` there, `[...]`.
      high: `value >= 0` there, alike.
      tolerance: a residual as large as its rounding, `[...]`. The search ends
        with one more step from where the value is as small.

    Returns:
      The roots, `[...]`, after at most `MAX_MONOTONE_STEPS` steps.
    """
    is_counting = tracing.counts_only()

    def is_active(
        x: tf.Tensor,
        low: tf.Tensor,
        high: tf.Tensor,
        last: tf.Tensor,
        active: tf.Tensor,
    ) -> tf.Tensor:
        del x, low, high, last
        return tf.constant(True) if is_counting else tf.reduce_any(active)

    def step(
        x: tf.Tensor,
        low: tf.Tensor,
        high: tf.Tensor,
        last: tf.Tensor,
        active: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        value, slope = function(x)
        low = tf.where(value <= 0.0, x, low)
        high = tf.where(value >= 0.0, x, high)
        found = tf.abs(value) <= tolerance
        newton = x - value / slope
        # Not so where the step is NaN, which 0 / 0 gives.
        is_good = (newton >= low) & (newton <= high)
        is_good &= tf.abs(newton - x) <= 0.5 * last
        other = tf.where(found, x, low + 0.5 * (high - low))
        next_x = tf.where(active, tf.where(is_good, newton, other), x)
        last = tf.abs(next_x - x)
        return next_x, low, high, last, active & ~found & (last > 0.0)

    x, _, _, _, _ = tf.while_loop(
        is_active,
        step,
        (
            low + 0.5 * (high - low),
            low,
            high,
            high - low,
            tf.ones_like(low, tf.bool),
        ),
        maximum_iterations=MAX_MONOTONE_STEPS,
    )
    return x


def _bracket(
    c: tf.Tensor, q: tf.Tensor, t: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`low <= s <= high` for `t >= 0`, tight to a few units at any scale."""
    rising = c >= 0.0
    up = tf.where(rising, c, tf.zeros_like(c))
    # c >= 0, t < c. From c * tanh(s) = t - s <= t: s <= atanh(t / c), and
    # with that bound on s once more: s >= atanh((t - atanh(t / c)) / c).
    is_below = t < up
    one = tf.ones_like(t)
    below_t, below_c = tf.where(is_below, t, 0.0), tf.where(is_below, up, one)
    most = _atanh_of_ratio(below_t, below_c)
    low_below = _atanh_of_ratio(tf.maximum(below_t - most, 0.0), below_c)
    # c >= 0, t >= c. From 1 - tanh(s) >= exp(-2 s): s >= d + W(x) / 2 with
    # d = t - c, x = 2 c exp(-2 d) and Lambert's W(x) >= log1p(x) -
    # log1p(log1p(x)).
    d = tf.where(is_below, tf.zeros_like(t), t - up)
    log1p_x = tf.math.softplus(tf.math.log(2.0 * up + _tiny(t)) - 2.0 * d)
    low_above = d + 0.5 * (log1p_x - tf.math.log1p(log1p_x))
    # c >= 0. From tanh(s) <= s: s >= t / (1 + c).
    low = tf.where(is_below, low_below, low_above)
    low_rising = tf.minimum(tf.maximum(low, t / (1.0 + up)), t)
    # c < 0. From tanh(s) <= s and <= 1: s <= t / q and s <= t - c. From
    # tanh(s) <= s - s**3 / 5 on [0, 1]: s <= (5 t / |c|)**(1/3) <= 1.
    down = tf.where(rising, tf.ones_like(c), -c)
    slope = tf.where(rising, tf.ones_like(q), q)
    cubic = tf.pow(5.0 * t / down, 1.0 / 3.0)
    high = tf.minimum(t / slope, t + down)
    high = tf.where(cubic <= 1.0, tf.minimum(high, cubic), high)
    high = tf.maximum(high, t)
    return (
        tf.where(rising, low_rising, t),
        tf.where(rising, t, high),
    )


def _atanh_of_ratio(numerator: tf.Tensor, denominator: tf.Tensor) -> tf.Tensor:
    """`atanh(n / d)` for `0 <= n < d`."""
    return 0.5 * tf.math.log1p(2.0 * numerator / (denominator - numerator))


def _tiny(t: tf.Tensor) -> float:
    return np.finfo(t.dtype.as_numpy_dtype).tiny
