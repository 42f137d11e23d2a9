"""Products of matrices and points, and triangular systems."""

import string

import tensorflow as tf

from tfp_flows._tfp import ps

__all__ = ["is_one", "solve_triangular", "times"]


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
    if is_one(matrix.shape[:-2]):
        shared = tf.reshape(matrix, ps.shape(matrix)[-2:])
        # Not by tf.tensordot, see `_transposed`.
        shape = ps.shape(x)
        y = tf.matmul(
            tf.reshape(x, [-1, shape[-1]]), shared, transpose_b=not transpose
        )
        y = tf.reshape(y, ps.concat([shape[:-1], ps.shape(y)[-1:]], axis=0))
    elif is_one(x.shape[:-1]):
        point = tf.reshape(x, [-1])
        y = tf.tensordot(matrix, point, [[-2 if transpose else -1], [0]])
    elif matrix.shape[:-2].is_fully_defined() and (
        x.shape[:-1].is_fully_defined()
    ):
        return _product_of_known_batches(matrix, x, transpose)
    else:
        # The point is a row, on the left: a float32 matrix `[B, 1, N, D]`
        # there, times a column `[D, 1]`, is wrong or ends the process (a fault
        # of oneDNN), also in the gradients.
        y = tf.matmul(x[..., tf.newaxis, :], matrix, transpose_b=not transpose)
        return tf.squeeze(y, axis=-2)
    rank = ps.maximum(ps.rank(matrix) - 1, ps.rank(x))
    missing = rank - ps.rank(y)
    if not ps.is_numpy(missing) or missing > 0:
        ones = ps.ones([missing], tf.int32)
        y = tf.reshape(y, ps.concat([ones, ps.shape(y)], axis=0))
    return y


def _product_of_known_batches(
    matrix: tf.Tensor, x: tf.Tensor, transpose: bool
) -> tf.Tensor:
    """`times`, every axis by its name.

    Nothing is broadcast: tf.matmul sums over axes that it broadcasts by a shape
    computed in the graph, and XLA compiles no second derivative of that in a
    loop.
    """
    shape = tf.broadcast_static_shape(matrix.shape[:-2], x.shape[:-1])
    *letters, row, column = list(string.ascii_letters[: shape.rank + 2])
    matrix, of_matrix = _named_batch(matrix, 2, letters)
    x, of_x = _named_batch(x, 1, letters)
    sides = column + row if transpose else row + column
    batch = [letter for letter in letters if letter in of_matrix + of_x]
    y = tf.einsum(
        f"{of_matrix}{sides},{of_x}{column}->{''.join(batch)}{row}", matrix, x
    )
    return tf.reshape(y, [*shape, ps.shape(y)[-1]])


def _named_batch(
    x: tf.Tensor, event_ndims: int, letters: list[str]
) -> tuple[tf.Tensor, str]:
    """`x` without batch axes of size one, and the names of the others."""
    batch = x.shape[:-event_ndims]
    names = letters[len(letters) - batch.rank :]
    kept = [i for i, size in enumerate(batch) if size != 1]
    event = ps.shape(x)[-event_ndims:]
    x = tf.reshape(x, ps.concat([[batch[i] for i in kept], event], axis=0))
    return x, "".join(names[i] for i in kept)


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
    columns = _transposed(tf.reshape(y, [-1, ps.shape(y)[-1]]))
    solved = tf.linalg.triangular_solve(shared, columns, lower=lower)
    return tf.reshape(_transposed(solved), shape)


def _transposed(matrix: tf.Tensor) -> tf.Tensor:
    """`tf.transpose`, of which XLA compiles no second derivative in a loop."""
    return tf.einsum("ij->ji", matrix)


def is_one(batch_shape: tf.TensorShape) -> bool:
    """Whether a batch is known to have one member."""
    return batch_shape.rank is not None and batch_shape.num_elements() == 1
