"""Points of a circle as numbers in `[-B, B)`, whose ends are one point."""

import math

import tensorflow as tf

__all__ = ["cosine_and_sine", "wrap"]


def wrap(x: tf.Tensor, half_width: float) -> tf.Tensor:
    """The number in `[-B, B)` that is `x` up to whole turns of 2 B.

    Numbers in `[-B, B)` stay as they are, to the last bit. The derivative is 1
    everywhere, that of the circle.

    Args:
      x: any numbers.
      half_width: B.
    """
    turn = 2.0 * half_width
    # Exact but for the sum, however many turns there are.
    turned = tf.math.floormod(x + half_width, turn) - half_width
    # Rounded up it may be B, which is -B.
    turned = tf.where(turned < half_width, turned, turned - turn)
    is_inside = (x >= -half_width) & (x < half_width)
    return tf.where(is_inside, x, turned)


def cosine_and_sine(
    x: tf.Tensor, half_width: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Those of the angle `pi x / B`: smooth functions on the circle."""
    angle = x * (math.pi / half_width)
    return tf.cos(angle), tf.sin(angle)
