"""Convolutions of a batch without rows, which a replica may be given."""

from collections.abc import Callable

import tensorflow as tf

__all__ = ["apply_to_rows"]


def apply_to_rows(
    function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor
) -> tf.Tensor:
    """`function(x)`, where `function` keeps rows apart and needs one or more.

    TensorFlow's convolutions on the CPU return other shapes, or fail, for a
    batch without rows: it is replaced by a row of zeros, which is dropped.
    """
    if x.shape[0]:
        return function(x)
    num_rows = tf.shape(x)[0]
    num_added = tf.cast(tf.equal(num_rows, 0), tf.int32)
    padded = tf.pad(x, [[0, num_added]] + [[0, 0]] * (x.shape.rank - 1))
    return function(padded)[:num_rows]
