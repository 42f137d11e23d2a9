"""Permutations of the coordinates, one for each member of a batch."""

from collections.abc import Callable

import tensorflow as tf

from tfp_flows._tfp import ps

__all__ = ["invert_permutation", "permute"]


def invert_permutation(permutation: tf.Tensor) -> tf.Tensor:
    """The permutation that undoes it, `[..., D]`."""
    return tf.argsort(permutation, axis=-1)


def permute(
    x: tf.Tensor, permutation: tf.Tensor, inverse: tf.Tensor
) -> tf.Tensor:
    """`y_i = x_(permutation_i)`, `[..., D]`; batch shapes broadcast.

    The gradient is a gather too, by `inverse`: that of `tf.gather` adds up,
    entry by entry, what here never falls on one place.
    """

    @tf.custom_gradient
    def permuted(
        x: tf.Tensor, permutation: tf.Tensor, inverse: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor | None, ...]]]:
        def gradient(y_bar: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
            # In the graph of the gradient, which may be another one.
            x_bar = permute(
                y_bar, tf.identity(inverse), tf.identity(permutation)
            )
            return _sum_to_shape(x_bar, ps.shape(x)), None, None

        return _gather(x, permutation), gradient

    return permuted(x, permutation, inverse)


def _gather(x: tf.Tensor, permutation: tf.Tensor) -> tf.Tensor:
    rank = max(x.shape.rank, permutation.shape.rank)
    if all(size == 1 for size in permutation.shape[:-1]):
        y = tf.gather(x, tf.reshape(permutation, [-1]), axis=-1)
        missing = rank - y.shape.rank
        return tf.reshape(y, ps.concat([[1] * missing, ps.shape(y)], axis=0))
    shape = ps.broadcast_shape(ps.shape(x), ps.shape(permutation))
    return tf.gather(
        tf.broadcast_to(x, shape),
        tf.broadcast_to(permutation, shape),
        axis=-1,
        batch_dims=rank - 1,
    )


def _sum_to_shape(x: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Adds up the axes along which a tensor of `shape` was broadcast."""
    axes, _ = tf.raw_ops.BroadcastGradientArgs(
        s0=tf.cast(shape, tf.int32), s1=tf.shape(x)
    )
    return tf.reshape(tf.reduce_sum(x, axis=axes), shape)
