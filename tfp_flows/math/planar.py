"""The planar map `y = z + u_hat * tanh(<w, z> + b)` and its inverse.

The arguments are those of `constraints.ConstrainedPlanar`.
"""

import tensorflow as tf

from tfp_flows.math import root_finding, stable

__all__ = ["forward", "inverse", "log_det"]


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
