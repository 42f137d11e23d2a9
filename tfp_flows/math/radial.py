"""The radial map `y = z + beta * (z - z0) / (alpha + r)` and its inverse.

The arguments are those of `Constrained`.
"""

from typing import NamedTuple

import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.math import stable
from tfp_flows.math.constraints import positive

__all__ = ["Constrained", "constrain", "forward", "inverse", "log_det"]


class Constrained(NamedTuple):
    """`beta = p - alpha` with `alpha > 0` and `p = alpha + beta > 0`."""

    z0: tf.Tensor
    alpha: tf.Tensor
    p: tf.Tensor


def constrain(
    z0: tf.Tensor,
    unconstrained_alpha: tf.Tensor,
    unconstrained_beta: tf.Tensor,
) -> Constrained:
    """`alpha = softplus(.) > 0`, `beta = -alpha + softplus(.) > -alpha`.

    Equal unconstrained values, zeros among them, give `beta = 0`, the
    identity. `alpha` and `p` stay above the square root of the smallest
    normal number, so that their product and ratio are normal as well.
    """
    return Constrained(
        z0=z0,
        alpha=positive(unconstrained_alpha, power=0.5),
        p=positive(unconstrained_beta, power=0.5),
    )


def forward(
    z: tf.Tensor, z0: tf.Tensor, alpha: tf.Tensor, p: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log|det dy/dz|)` of `z`, `[..., D]`."""
    offset = z - z0
    r = stable.norm(offset)
    y = _stretch(z, z0, offset, p - alpha, p + r, alpha + r)
    return y, log_det(r, alpha, p, ps.shape(z)[-1])


def inverse(
    y: tf.Tensor, z0: tf.Tensor, alpha: tf.Tensor, p: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(z, log|det dz/dy|)` of any `y`, `[..., D]`.

    `r` is the positive root of `r**2 + (p - R) * r - alpha * R = 0`, where
    `R = |y - z0|`.
    """
    offset = y - z0
    radius = stable.norm(offset)
    linear = p - radius
    root = tf.sqrt(tf.square(linear) + 4.0 * alpha * radius)
    is_positive = linear > 0.0
    denominator = tf.where(is_positive, linear + root, tf.ones_like(root))
    r = tf.where(
        is_positive,
        2.0 * alpha * radius / denominator,
        0.5 * (root - linear),
    )
    z = _stretch(y, z0, offset, alpha - p, alpha + r, p + r)
    return z, -log_det(r, alpha, p, ps.shape(y)[-1])


def _stretch(
    x: tf.Tensor,
    z0: tf.Tensor,
    offset: tf.Tensor,
    difference: tf.Tensor,
    numerator: tf.Tensor,
    denominator: tf.Tensor,
) -> tf.Tensor:
    """`z0 + offset * factor`, `factor = numerator / denominator`.

    Near `factor = 1` as `x + offset * (factor - 1)`, exact for the identity.
    """
    factor = (numerator / denominator)[..., tf.newaxis]
    excess = (difference / denominator)[..., tf.newaxis]
    return tf.where(factor > 0.5, x + offset * excess, z0 + offset * factor)


def log_det(
    r: tf.Tensor, alpha: tf.Tensor, p: tf.Tensor, event_size: int | tf.Tensor
) -> tf.Tensor:
    """`(D - 1) * log(1 + beta * h) + log(1 + beta * h + beta * h' * r)`.

    `h = 1 / (alpha + r)` and `beta = p - alpha`; the argument of the second
    logarithm is `1 + alpha * beta / (alpha + r)**2`.
    """
    beta = p - alpha
    total = alpha + r
    tangential = stable.log1p_from_total(beta / total, (p + r) / total)
    radial = stable.log1p_from_total(
        (alpha / total) * (beta / total),
        (r / total) * ((r + 2.0 * alpha) / total)
        + (alpha / total) * (p / total),
    )
    return tf.cast(event_size - 1, r.dtype) * tangential + radial
