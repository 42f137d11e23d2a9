"""The two parameters of a location-scale family, from a decoder's output."""

import tensorflow as tf

__all__ = ["MIN_SCALE", "loc_and_scale"]

# On data that do not vary (a black margin) the likelihood of a continuous
# family grows without limit as the scale falls; this is where it stops. It
# keeps densities and gradients within the range of float32.
MIN_SCALE = 1e-4


def loc_and_scale(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits the last axis in halves: loc, and the scale before softplus.

    `scale = MIN_SCALE + softplus(unconstrained_scale)`.

    Args:
      outputs: `[..., 2 * C]`.

    Returns:
      loc and scale, each `[..., C]`.
    """
    loc, unconstrained_scale = tf.split(outputs, 2, axis=-1)
    return loc, MIN_SCALE + tf.math.softplus(unconstrained_scale)
