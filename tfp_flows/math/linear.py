"""Products of matrices and points."""

import tensorflow as tf

from tfp_flows._tfp import ps

__all__ = ["times"]


def times(
    matrix: tf.Tensor, x: tf.Tensor, *, transpose: bool = False
) -> tf.Tensor:
    """`matrix x` for every point `x`; the batch axes broadcast.

    One matrix for all points makes one product of two matrices, which is many
    times faster than one product per point.

    Args:
      matrix: `[..., N, D]`, or `[..., D, N]` to be transposed.
      x: points, `[..., D]`.
      transpose: whether to transpose the matrix.

    Returns:
      `[..., N]`.
    """
    batch = matrix.shape[:-2]
    if any(size != 1 for size in batch):
        return tf.linalg.matvec(matrix, x, transpose_a=transpose)
    shared = tf.reshape(matrix, ps.shape(matrix)[-2:])
    y = tf.tensordot(x, shared, [[-1], [0 if transpose else 1]])
    missing = len(batch) - (y.shape.rank - 1)
    if missing > 0:
        y = tf.reshape(y, ps.concat([[1] * missing, ps.shape(y)], axis=0))
    return y
