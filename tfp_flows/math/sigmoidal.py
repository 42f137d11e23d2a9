"""Mixtures of sigmoids between logits, `y = logit(sum_j w_j sigmoid(c_j))`.

The increasing scalar maps of neural autoregressive flows, where
`c_j = a_j * x + b_j`, `a_j > 0`, `w_j > 0` and `sum_j w_j = 1`. Each
coordinate has H units of its own; they lie along axis -2, `[..., H, D]`, so
that coordinates are contiguous.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.math import constraints, implicit, root_finding, stable

__all__ = [
    "MIN_SLOPE",
    "MIN_WEIGHT",
    "Units",
    "chain_forward",
    "chain_inverse",
    "chain_root",
    "constrain",
    "forward",
    "inverse",
    "unpack",
]

# The smallest slope is that of `y` at both ends, so its inverse is how much
# the inverse map stretches there.
MIN_SLOPE = 1e-3

# Below the rounding of a sum of weights; products of a few stay normal.
MIN_WEIGHT = 1e-8

# The search ends one step after a residual of this many eps of the terms.
_RESIDUAL_IN_EPS = 4.0


class Units(NamedTuple):
    """`w > 0` of sum 1 over axis -2, `a > 0`, and `b`; each `[..., H, D]`."""

    w: tf.Tensor
    a: tf.Tensor
    b: tf.Tensor


def constrain(weights: tf.Tensor, slopes: tf.Tensor, b: tf.Tensor) -> Units:
    """Units from free reals; all zeros, or `slopes = b = 0`: the identity.

        w = (softmax(weights) + MIN_WEIGHT / H) / (1 + MIN_WEIGHT)
        a = MIN_SLOPE + (1 - MIN_SLOPE) * softplus(slopes + log(e - 1))

    Args:
      weights: logits of the weights, `[..., H, D]`.
      slopes: `a` before the softplus, alike.
      b: offsets, alike.
    """
    w = constraints.weights(weights, MIN_WEIGHT)
    a = tf.math.softplus(slopes + constraints.UNIT_SHIFT)
    a = MIN_SLOPE + (1.0 - MIN_SLOPE) * a
    return Units(w, a, b)


def unpack(unconstrained: tf.Tensor, num_layers: int = 1) -> tuple[Units, ...]:
    """The units of all layers from one tensor, `[..., num_layers * 3 * H, D]`.

    Layer after layer; in each first the H weights, then the H slopes, then
    the H offsets, as `constrain` takes them. Zeros give the identity.
    """
    parts = tf.split(unconstrained, 3 * num_layers, axis=-2)
    return tuple(
        constrain(*parts[3 * i : 3 * i + 3]) for i in range(num_layers)
    )


def chain_forward(
    x: tf.Tensor, layers: Sequence[Units]
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log dy/dx)` of `forward` by one layer after the other."""
    log_derivative = tf.zeros([], x.dtype)
    for units in layers:
        x, term = forward(x, units)
        log_derivative += term
    return x, log_derivative


def chain_inverse(
    y: tf.Tensor, layers: Sequence[Units]
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log dx/dy)` of `chain_forward`."""
    log_derivative = tf.zeros([], y.dtype)
    for units in reversed(layers):
        y, term = inverse(y, units)
        log_derivative += term
    return y, log_derivative


def chain_root(y: tf.Tensor, layers: Sequence[Units]) -> tf.Tensor:
    """`x` of `chain_inverse`, without gradients."""
    for units in reversed(layers):
        y = _root(y, units)
    return y


def forward(x: tf.Tensor, units: Units) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log dy/dx)`, both `[..., D]`, finite wherever `a * x + b` is.

    With `s(c) = sigmoid(c)`, `S = sum_j w_j s(c_j)`, and `1 - S` as
    `sum_j w_j s(-c_j)`:

        y = log(S) - log(1 - S)
        dy/dx = sum_j w_j a_j s(c_j) s(-c_j) / (S (1 - S))

    From each of the three sums its largest exponential is taken out, by a
    shift that is a function of all `c_j` at once. So nothing overflows,
    underflows or cancels, where all `c_j` are one number `c`, `y = c`, and
    towards both ends `y` goes over into a straight line.

    Args:
      x: points, `[..., D]`.
      units: of the coordinates.
    """
    w, a, b = units
    c = a * x[..., tf.newaxis, :] + b
    # No derivative passes through a shift: the results do not depend on it.
    fixed = tf.stop_gradient(c)
    low = tf.reduce_min(fixed, axis=-2, keepdims=True)
    high = tf.reduce_max(fixed, axis=-2, keepdims=True)
    is_up = fixed >= 0.0
    distance = tf.where(is_up, c, -c)  # |c|, of slope 1 at 0
    nearest = tf.reduce_min(tf.abs(fixed), axis=-2, keepdims=True)
    # All above 0 or all below: the shift of y, else 0.
    shift = tf.maximum(low, 0.0) + tf.minimum(high, 0.0)
    is_mixed = tf.equal(shift, 0.0)

    near = tf.exp(nearest - distance)
    far = tf.exp(-nearest)
    e = near * far  # exp(-|c|)
    s = 1.0 / (1.0 + e)
    ws = w * s
    ws_e = ws * tf.where(is_mixed, e, near)
    # S, 1 - S and the numerator, without their shifts.
    above = tf.reduce_sum(tf.where(is_up, ws, ws_e), axis=-2)
    below = tf.reduce_sum(tf.where(is_up, ws_e, ws), axis=-2)
    slope = tf.reduce_sum(ws * a * s * near, axis=-2)

    y_shift = tf.squeeze(shift, axis=-2)
    slope_shift = tf.abs(y_shift) - tf.squeeze(nearest, axis=-2)
    # One logarithm of a ratio: near 1 it is right to a few eps.
    y = y_shift + tf.math.log(above / below)
    return y, tf.math.log(slope / (above * below)) + slope_shift


def inverse(y: tf.Tensor, units: Units) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log dx/dy)` of `forward`, both `[..., D]`.

    `y` lies between the least and the largest `c_j`, so that

        min_j (y - b_j) / a_j <= x <= max_j (y - b_j) / a_j

    The root is searched there; gradients are those of the implicit function.

    Args:
      y: images, `[..., D]`.
      units: of the coordinates.
    """

    def update(x: tf.Tensor, y: tf.Tensor, *units: tf.Tensor) -> tf.Tensor:
        return x + (y - forward(x, Units(*units))[0])

    def pull_back(
        x_bar: tf.Tensor, x: tf.Tensor, y: tf.Tensor, *units: tf.Tensor
    ) -> tf.Tensor:
        del y
        return x_bar * stable.inverse_slope(forward(x, Units(*units))[1])

    def refine(x: tf.Tensor, y: tf.Tensor, *units: tf.Tensor) -> tf.Tensor:
        def equation(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            value, log_slope = forward(x, Units(*units))
            return value - y, log_slope

        def solve(residual: tf.Tensor, log_slope: tf.Tensor) -> tf.Tensor:
            return residual * stable.inverse_slope(log_slope)

        return implicit.newton(x, equation, solve, 2)

    def search(y: tf.Tensor, *units: tf.Tensor) -> tf.Tensor:
        return refine(_root(y, Units(*units)), y, *units)

    x = implicit.solution(search, update, pull_back, refine, [y, *units])
    return x, -forward(x, units)[1]


def _root(y: tf.Tensor, units: Units) -> tf.Tensor:
    """`x` of `inverse`, without gradients."""
    y, units = tf.stop_gradient(y), Units(*map(tf.stop_gradient, units))
    shapes = [ps.shape(y), *(ps.shape(u[..., 0, :]) for u in units)]
    y = tf.broadcast_to(y, functools.reduce(ps.broadcast_shape, shapes))
    roots = (y[..., tf.newaxis, :] - units.b) / units.a

    def function(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        value, log_slope = forward(x, units)
        return value - y, tf.exp(log_slope)

    eps = np.finfo(y.dtype.as_numpy_dtype).eps
    terms = 1.0 + tf.abs(y) + tf.reduce_max(tf.abs(units.b), axis=-2)
    return root_finding.monotone_root(
        function,
        tf.reduce_min(roots, axis=-2),
        tf.reduce_max(roots, axis=-2),
        tolerance=_RESIDUAL_IN_EPS * eps * terms,
    )
