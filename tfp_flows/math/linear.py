"""Products of matrices and points, and triangular systems."""

import tensorflow as tf

from tfp_flows._tfp import ps

__all__ = ["solve_triangular", "times"]


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


def solve_triangular(
    matrix: tf.Tensor, y: tf.Tensor, *, lower: bool
) -> tf.Tensor:
    """The x of `matrix x = y` for every point `y`; the batch axes broadcast.

    Args:
      matrix: `[..., D, D]`, triangular.
      y: points, `[..., D]`.
      lower: whether the matrix is lower, else upper triangular.

    Returns:
      `[..., D]`.
    """
    batch = matrix.shape[:-2]
    shape = ps.broadcast_shape(ps.shape(matrix)[:-1], ps.shape(y))
    if any(size != 1 for size in batch):
        right = tf.broadcast_to(y, shape)[..., tf.newaxis]
        left = tf.broadcast_to(matrix, ps.concat([shape, shape[-1:]], axis=0))
        solved = tf.linalg.triangular_solve(left, right, lower=lower)
        return tf.squeeze(solved, axis=-1)
    shared = tf.reshape(matrix, ps.shape(matrix)[-2:])
    columns = tf.transpose(tf.reshape(y, [-1, ps.shape(y)[-1]]))
    solved = tf.linalg.triangular_solve(shared, columns, lower=lower)
    return tf.reshape(tf.transpose(solved), shape)
