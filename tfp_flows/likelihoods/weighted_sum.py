"""Sums over many nodes in the memory of a few terms."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfp_flows._tfp import ps

__all__ = ["weighted_sum"]

_BLOCK_SIZE = 16


def weighted_sum(
    function: Callable[[tf.Tensor], tf.Tensor],
    nodes: Sequence[float] | np.ndarray,
    weights: Sequence[float] | np.ndarray,
    like: tf.Tensor,
) -> tf.Tensor:
    """`sum_k weights[k] * function(nodes[k])`, a block of nodes at a time.

    Args:
      function: maps nodes elementwise; it gets `[16, 1, ..., 1]` and returns
        `[16, *like.shape]`.
      nodes: N numbers.
      weights: N numbers.
      like: gives shape and dtype of the sum.
    """
    num_blocks = -(-len(nodes) // _BLOCK_SIZE)
    ones = ps.ones([ps.rank(like)], tf.int32)
    shape = ps.concat([[num_blocks, _BLOCK_SIZE], ones], axis=0)

    def blocks(values: Sequence[float] | np.ndarray) -> tf.Tensor:
        padding = num_blocks * _BLOCK_SIZE - len(values)
        padded = tf.constant(np.pad(values, (0, padding)), like.dtype)
        return tf.reshape(padded, shape)

    nodes, weights = blocks(nodes), blocks(weights)

    def add(k: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        terms = weights[k] * function(nodes[k])
        return k + 1, total + tf.reduce_sum(terms, axis=0)

    _, total = tf.while_loop(
        lambda k, _: k < num_blocks,
        add,
        (tf.constant(0), tf.zeros_like(like)),
        maximum_iterations=num_blocks,  # XLA's gradient needs a static bound
    )
    return total
