"""Unconstrained parameters -> parameters of an invertible map."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

__all__ = [
    "PLANAR_CONSTRAINTS",
    "ConstrainedPlanar",
    "ConstrainedRadial",
    "planar",
    "positive",
    "radial",
]

PLANAR_CONSTRAINTS = ("identity", "paper")

# softplus(_SHIFT) == 1, so that m(0) == 0.
_SHIFT = math.log(math.e - 1.0)

# |w|**2 at which the paper's constraint is half way to the identity one.
_PAPER_GUARD = 1e-12


class ConstrainedPlanar(NamedTuple):
    """`c = <w, u_hat> > -1` and `q = 1 + c`, which does not cancel."""

    u_hat: tf.Tensor
    w: tf.Tensor
    b: tf.Tensor
    c: tf.Tensor
    q: tf.Tensor


class ConstrainedRadial(NamedTuple):
    """`beta = p - alpha` with `alpha > 0` and `p = alpha + beta > 0`."""

    z0: tf.Tensor
    alpha: tf.Tensor
    p: tf.Tensor


def positive(x: tf.Tensor) -> tf.Tensor:
    """`softplus(x)`, kept above the smallest normal number of the dtype."""
    return tf.maximum(
        tf.math.softplus(x), np.finfo(x.dtype.as_numpy_dtype).tiny
    )


def planar(
    u: tf.Tensor, w: tf.Tensor, b: tf.Tensor, constraint: str
) -> ConstrainedPlanar:
    """Moves `u` along `w` so that `c = <w, u_hat> = m(<w, u>) > -1`.

        u_hat = u + (m(a) - a) * w / |w|**2,    a = <w, u>

    `"identity"`: `m(a) = -1 + softplus(a + log(e - 1))`; `m(0) = 0`, so that
    `u = 0` is the identity and `u_hat` stays bounded as `w -> 0`.
    `"paper"`: `m(a) = -1 + softplus(a)` (Rezende & Mohamed 2015); `u_hat`
    grows like `0.307 / |w|`, so below `|w| = 1e-6` it goes over smoothly into
    the identity constraint. Under both, `w = 0` gives `u_hat = u`, `c = 0`.

    Args:
      u, w: `[..., D]`. b: `[...]`. constraint: `"identity"` or `"paper"`.
    """
    a = tf.reduce_sum(w * u, axis=-1)
    # w / |w|**2 as direction / scale: |w|**2 itself would underflow.
    scale = tf.stop_gradient(tf.reduce_max(tf.abs(w), axis=-1, keepdims=True))
    is_zero = tf.equal(scale, 0.0)
    scale = tf.where(is_zero, tf.ones_like(scale), scale)
    scaled_w = w / scale
    squared = tf.reduce_sum(tf.square(scaled_w), axis=-1, keepdims=True)
    direction = scaled_w / tf.where(is_zero, tf.ones_like(squared), squared)

    shift, c, q = _identity_constraint(a)
    if constraint == "paper":
        w_squared = tf.reduce_sum(tf.square(w), axis=-1)
        weight = w_squared / (w_squared + _PAPER_GUARD)
        paper_q = positive(a)
        paper_shift = tf.math.softplus(-a) - 1.0
        shift += weight * (paper_shift - shift)
        c += weight * ((paper_q - 1.0) - c)
        q += weight * (paper_q - q)
    u_hat = u + (shift[..., tf.newaxis] / scale) * direction
    return ConstrainedPlanar(u_hat=u_hat, w=w, b=b, c=c, q=q)


def _identity_constraint(
    a: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`(m(a) - a, m(a), 1 + m(a))`, each with full relative precision."""
    q = positive(a + tf.constant(_SHIFT, a.dtype))
    # m(a) - a = log1p(expm1(-a) / e), and m(a) = log1p((1 - 1/e) expm1(a)).
    is_low = a < -1.0
    middle = tf.where(is_low, tf.zeros_like(a), a)
    shift_middle = tf.math.log1p(tf.math.expm1(-middle) / math.e)
    c_middle = middle + shift_middle
    near_zero = tf.abs(a) < 1.0
    small = tf.where(near_zero, a, tf.zeros_like(a))
    c_small = tf.math.log1p((1.0 - 1.0 / math.e) * tf.math.expm1(small))
    c = tf.where(is_low, q - 1.0, tf.where(near_zero, c_small, c_middle))
    shift = tf.where(is_low, (q - 1.0) - a, shift_middle)
    return shift, c, q


def radial(
    z0: tf.Tensor,
    unconstrained_alpha: tf.Tensor,
    unconstrained_beta: tf.Tensor,
) -> ConstrainedRadial:
    """`alpha = softplus(.) > 0`, `beta = -alpha + softplus(.) > -alpha`.

    Equal unconstrained values, zeros among them, give `beta = 0`, the
    identity.
    """
    return ConstrainedRadial(
        z0=z0,
        alpha=positive(unconstrained_alpha),
        p=positive(unconstrained_beta),
    )
