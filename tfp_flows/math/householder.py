"""Products of Householder reflections, `Q = 1 - W' V`, in matrix products.

`Q = H_1 H_2 ... H_H` with `H_j = 1 - 2 v_j v_j'` for unit vectors `v_j`, the
rows of V. As `H_1 ... H_j = H_1 ... H_{j-1} - w_j v_j'` with
`w_j = 2 H_1 ... H_{j-1} v_j`, the rows of W solve `(1 + N) W = 2 V`, where N is
the part of `2 V V'` below the diagonal (the compact WY form). That system is
well conditioned for any V, linearly dependent vectors too: each `w_j` has norm
2, and no entry of `(1 + N)^-1` is above 2.

It is solved in blocks: within a block by its inverse, from one block to the
next by the product of the reflections so far. A triangular solve would do as
well, but XLA unrolls it below 32 rows (9 s to compile one of 16 rows with its
gradient) and inverts it above, which costs three digits where the vectors are
nearly collinear.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.math import linear

__all__ = ["Reflections", "apply", "apply_transpose", "columns", "reflections"]

# Rows of V in a block: the inverse costs more with more of them, the loop over
# blocks, which is unrolled, with less.
_BLOCK_SIZE = 16


class Reflections(NamedTuple):
    """`Q = 1 - W' V`; both are `[..., H, D]`."""

    v: tf.Tensor
    w: tf.Tensor


def reflections(vectors: tf.Tensor) -> Reflections:
    """The product of the reflections along the rows of `vectors`.

    Args:
      vectors: `[..., H, D]`, of any length; H is known statically. One without
        a normal number (zero) stands for the identity, and has gradient zero.
    """
    unit = _unit(vectors)
    if not linear.is_one(unit.shape[:-2]):
        return Reflections(unit, _compact(unit))
    # One map: no batch axes, with which a vectorized gradient would run into
    # the fault that `linear.times` evades.
    w = _compact(tf.reshape(unit, ps.shape(unit)[-2:]))
    return Reflections(unit, tf.reshape(w, ps.shape(unit)))


def apply(x: tf.Tensor, v: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """`Q x` of `x`, `[..., D]`: the last reflection acts first."""
    return x - linear.times(w, linear.times(v, x), transpose=True)


def apply_transpose(y: tf.Tensor, v: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """`Q' y` of `y`, `[..., D]`, which is `Q^-1 y`."""
    return y - linear.times(v, linear.times(w, y), transpose=True)


def columns(v: tf.Tensor, w: tf.Tensor, num_columns: int) -> tf.Tensor:
    """The first columns of Q, orthonormal: `[..., D, num_columns]`."""
    first = tf.eye(ps.shape(v)[-1], num_columns, dtype=v.dtype)
    return first - tf.matmul(w, v[..., :num_columns], transpose_a=True)


def _compact(unit: tf.Tensor) -> tf.Tensor:
    """W of the unit vectors V."""
    num_rows = unit.shape[-2]
    size = min(num_rows, _BLOCK_SIZE)
    num_blocks = -(-num_rows // size)
    missing = num_blocks * size - num_rows
    padding = [*[[0, 0]] * (ps.rank(unit) - 2), [0, missing], [0, 0]]
    v = tf.pad(unit, padding) if missing else unit
    shape = ps.shape(v)
    if num_blocks == 1:
        return tf.matmul(_block_inverse(v), 2.0 * v)
    blocks = tf.reshape(
        v, ps.concat([shape[:-2], [num_blocks, size], shape[-1:]], axis=0)
    )
    own = tf.matmul(_block_inverse(blocks), 2.0 * blocks)
    w = own[..., 0, :, :]
    for i in range(1, num_blocks):
        # The product of the reflections before this block, applied to its rows.
        before = v[..., : i * size, :]
        row = own[..., i, :, :]
        row -= tf.matmul(tf.matmul(row, before, transpose_b=True), w)
        w = tf.concat([w, row], axis=-2)
    return w[..., :num_rows, :]


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    """`vectors` over their norms; zero where the norm is."""
    # Without the scale, the squares would over- or underflow.
    scale = tf.stop_gradient(
        tf.reduce_max(tf.abs(vectors), axis=-1, keepdims=True)
    )
    is_zero = scale < np.finfo(vectors.dtype.as_numpy_dtype).tiny
    scaled = vectors / tf.where(is_zero, tf.ones_like(scale), scale)
    scaled = tf.where(is_zero, tf.zeros_like(scaled), scaled)
    squared = tf.reduce_sum(tf.square(scaled), axis=-1, keepdims=True)
    return scaled / tf.sqrt(tf.where(is_zero, tf.ones_like(squared), squared))


def _block_inverse(v: tf.Tensor) -> tf.Tensor:
    """`(1 + N)^-1`, `[..., size, size]`, of each block `v`, `[..., size, D]`.

    By doubling: with X the inverse of the parts of `1 + N` within groups of
    rows, and B the part of N between the groups of a pair, `X - X B X` is the
    inverse within pairs.
    """
    size = v.shape[-2]
    double_gram = 2.0 * tf.matmul(v, v, transpose_b=True)
    x = tf.eye(size, dtype=v.dtype)
    rows = np.arange(size)
    width = 1
    while width < size:
        group, pair = rows // width, rows // (2 * width)
        is_between = (group[:, np.newaxis] > group) & (
            pair[:, np.newaxis] == pair
        )
        between = double_gram * tf.constant(is_between, v.dtype)
        if width > 1:
            between = tf.matmul(x, tf.matmul(between, x))
        x -= between
        width *= 2
    return x
