"""The planar map `y = z + u_hat * tanh(<w, z> + b)` and its inverse.

The arguments are those of `Constrained`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfp_flows.math import root_finding, stable
from tfp_flows.math.constraints import UNIT_SHIFT, positive, tiny

__all__ = [
    "CONSTRAINTS",
    "Constrained",
    "check_constraint",
    "constrain",
    "forward",
    "inverse",
    "log_det",
]

CONSTRAINTS = ("identity", "paper")

# |w|**2 at which the paper's constraint is half way to the identity one.
_PAPER_GUARD = 1e-12


class Constrained(NamedTuple):
    """`c = <w, u_hat> > -1` and `q = 1 + c`, which does not cancel."""

    u_hat: tf.Tensor
    w: tf.Tensor
    b: tf.Tensor
    c: tf.Tensor
    q: tf.Tensor


def check_constraint(constraint: str) -> None:
    """Raises ValueError unless `constraint` is a known one."""
    if constraint not in CONSTRAINTS:
        known = ", ".join(map(repr, CONSTRAINTS))
        raise ValueError(
            f"`constraint` must be one of {known}; got {constraint!r}."
        )


def constrain(
    u: tf.Tensor, w: tf.Tensor, b: tf.Tensor, constraint: str
) -> Constrained:
    """Moves `u` along `w` so that `c = <w, u_hat> = m(<w, u>) > -1`.

        u_hat = u + (m(a) - a) * w / |w|**2,    a = <w, u>

    `"identity"`: `m(a) = -1 + softplus(a + log(e - 1))`; `m(0) = 0`, so that
    `u = 0` is the identity and `u_hat` stays bounded as `w -> 0`.
    `"paper"`: `m(a) = -1 + softplus(a)` (Rezende & Mohamed 2015); `u_hat`
    grows like `0.307 / |w|`, so below `|w| = 1e-6` it goes over smoothly into
    the identity constraint. Under both, `w = 0` gives `u_hat = u`, `c = 0`.

    Args:
      u: direction of the move, `[..., D]`.
      w: direction in which the position is read, `[..., D]`.
      b: offset of the position, `[...]`.
      constraint: `"identity"` or `"paper"`.
    """
    a = tf.reduce_sum(w * u, axis=-1)
    # w / |w|**2 by way of w / max|w|: |w|**2 itself would underflow.
    scale = tf.stop_gradient(tf.reduce_max(tf.abs(w), axis=-1))
    is_zero = scale < tiny(w.dtype)
    safe_scale = tf.where(is_zero, tf.ones_like(scale), scale)
    inverse = tf.where(is_zero, tf.zeros_like(scale), 1.0 / safe_scale)
    scaled_w = w * inverse[..., tf.newaxis]
    squared = tf.reduce_sum(tf.square(scaled_w), axis=-1)
    squared = tf.where(is_zero, tf.ones_like(squared), squared)

    shift, c, q = _identity_constraint(tf.identity(a))
    if constraint == "paper":
        w_squared = tf.reduce_sum(tf.square(w), axis=-1)
        weight = w_squared / (w_squared + _PAPER_GUARD)
        paper_q = positive(a)
        shift += weight * ((tf.math.softplus(-a) - 1.0) - shift)
        c += weight * ((paper_q - 1.0) - c)
        q += weight * (paper_q - q)
    u_hat = u + (shift * inverse / squared)[..., tf.newaxis] * scaled_w
    return Constrained(u_hat=u_hat, w=w, b=b, c=c, q=q)


@tf.custom_gradient
def _identity_constraint(
    a: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], Callable[..., tf.Tensor]]:
    """`(m(a) - a, m(a), 1 + m(a))`, each to a few units in the last place.

    `m(a) = log(1 + (e - 1) exp(a)) - 1`. Near 0, `m(a) = log1p((1 - 1/e)
    expm1(a))` for `a <= 0` and `m(a) - a = log1p(expm1(-a) / e)` for `a > 0`;
    farther out the logarithms are of numbers above 1 (XLA's `log1p` in
    float64 is off by 100 eps near -0.4).
    """
    is_positive = a > 0.0
    near_zero = tf.abs(a) < 0.5
    # Not `-tf.abs(a)`, whose derivative at 0 is 0: tf.vectorized_map drops
    # custom gradients, and derives this.
    low = tf.where(is_positive, -a, a)

    def pick(if_positive: float, otherwise: float) -> tf.Tensor:
        return tf.where(
            is_positive,
            tf.constant(if_positive, a.dtype),
            tf.constant(otherwise, a.dtype),
        )

    near = tf.math.log1p(
        pick(1.0 / math.e, 1.0 - 1.0 / math.e) * tf.math.expm1(low)
    )
    far = tf.math.log1p(pick(1.0 / (math.e - 1.0), math.e - 1.0) * tf.exp(low))
    # m(a) - a where a > 0, m(a) elsewhere.
    value = tf.where(near_zero, near, far + pick(UNIT_SHIFT - 1.0, -1.0))
    shift = tf.where(is_positive, value, value - a)
    c = tf.where(is_positive, a + value, value)
    q = tf.where(near_zero | is_positive, 1.0 + c, far)

    def gradient(
        shift_bar: tf.Tensor, c_bar: tf.Tensor, q_bar: tf.Tensor
    ) -> tf.Tensor:
        slope = tf.sigmoid(
            tf.identity(a) + tf.constant(UNIT_SHIFT, a.dtype)
        )  # m'
        return slope * (shift_bar + c_bar + q_bar) - shift_bar

    return (shift, c, tf.maximum(q, tiny(a.dtype))), gradient


def forward(
    z: tf.Tensor,
    u_hat: tf.Tensor,
    w: tf.Tensor,
    b: tf.Tensor,
    c: tf.Tensor,
    q: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log|det dy/dz|)` of `z`, `[..., D]`."""
    s = tf.reduce_sum(w * z, axis=-1) + b
    y = z + u_hat * tf.tanh(s)[..., tf.newaxis]
    return y, log_det(s, c, q)


def inverse(
    y: tf.Tensor,
    u_hat: tf.Tensor,
    w: tf.Tensor,
    b: tf.Tensor,
    c: tf.Tensor,
    q: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(z, log|det dz/dy|)` of any `y`, `[..., D]`.

    `s = <w, z> + b` is the root of `s + c * tanh(s) = <w, y> + b`.
    """
    s = root_finding.tanh_root(c, q, tf.reduce_sum(w * y, axis=-1) + b)
    z = y - u_hat * tf.tanh(s)[..., tf.newaxis]
    return z, -log_det(s, c, q)


def log_det(s: tf.Tensor, c: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
    """`log(1 + c * sech(s)**2)`, where `q = 1 + c`.

    The argument equals `tanh(s)**2 + q * sech(s)**2`, a sum of positive
    terms, which serves where `1 + c * sech(s)**2` cancels.
    """
    g = stable.sech_squared(s)
    return stable.log1p_from_total(c * g, tf.square(tf.tanh(s)) + q * g)
