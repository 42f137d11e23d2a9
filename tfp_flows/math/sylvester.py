"""The map `v + R1 tanh(R2 v + b)` on `R^M`, R1 and R2 upper triangular.

A Sylvester flow on `R^D` is this map on the coordinates `v = Q' z` along the M
orthonormal columns of Q. The arguments are those of `ConstrainedSylvester`.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import ps
from tfp_flows.math import implicit, linear, planar, root_finding, stable

__all__ = [
    "ConstrainedSylvester",
    "constrain",
    "forward",
    "inverse",
    "num_units",
    "pack",
    "unpack",
]

# unit(i, rest, inner) -> (x_i, p_i), see `_substitute`.
_Unit: TypeAlias = Callable[
    [tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]
]


class ConstrainedSylvester(NamedTuple):
    """`c_i = (R1)_ii (R2)_ii > -1` and `q = 1 + c`, which does not cancel."""

    r1: tf.Tensor
    r2: tf.Tensor
    b: tf.Tensor
    c: tf.Tensor
    q: tf.Tensor


def num_units(packed_size: int) -> int | None:
    """M of a packed triangle of `M (M + 1) / 2` numbers; None if of none."""
    m = (math.isqrt(8 * packed_size + 1) - 1) // 2
    return m if m >= 1 and m * (m + 1) // 2 == packed_size else None


def pack(upper: tf.Tensor) -> tf.Tensor:
    """The upper triangle of `[..., M, M]` as `[..., M (M + 1) / 2]`.

    First the diagonal, then what is above it, in the order of
    `tfp.math.fill_triangular_inverse(upper=True)`.
    """
    upper = tf.convert_to_tensor(upper)
    diagonal = tf.linalg.diag_part(upper)
    if upper.shape[-1] == 1:
        return diagonal
    above = tf.linalg.band_part(upper[..., :-1, 1:], 0, -1)
    above = tfp.math.fill_triangular_inverse(above, upper=True)
    return tf.concat([diagonal, above], axis=-1)


def unpack(packed: tf.Tensor) -> tf.Tensor:
    """The upper triangular matrices `[..., M, M]` that `pack` takes."""
    packed = tf.convert_to_tensor(packed)
    size = num_units(packed.shape[-1])
    above = tfp.math.fill_triangular(packed[..., size:], upper=True)
    batch_axes = [[0, 0]] * (ps.rank(packed) - 1)
    matrix = tf.pad(above, [*batch_axes, [0, 1], [1, 0]])
    # Not by `set_diag`, whose gradient XLA refuses for batches of unknown size.
    return matrix + tf.linalg.diag(packed[..., :size])


def constrain(
    r1: tf.Tensor, r2: tf.Tensor, b: tf.Tensor
) -> ConstrainedSylvester:
    """Unpacks two triangles with `tanh` on their diagonals.

    So both diagonals lie in (-1, 1), and `(R1)_ii (R2)_ii > -1`.

    Args:
      r1: R1 before the tanh, packed as by `pack`, `[..., M (M + 1) / 2]`.
      r2: R2, alike.
      b: offsets of the M units, `[..., M]`.
    """
    size = b.shape[-1]
    raw1, raw2 = r1[..., :size], r2[..., :size]
    diagonal1, diagonal2 = tf.tanh(raw1), tf.tanh(raw2)
    c = diagonal1 * diagonal2
    # 1 - tanh(|p|) tanh(|s|) as a ratio of sums of positive terms.
    e1, e2 = tf.exp(-2.0 * tf.abs(raw1)), tf.exp(-2.0 * tf.abs(raw2))
    falling = 2.0 * (e1 + e2) / ((1.0 + e1) * (1.0 + e2))
    q = tf.where(c < 0.0, falling, 1.0 + c)
    tiny = np.finfo(b.dtype.as_numpy_dtype).tiny
    return ConstrainedSylvester(
        r1=unpack(tf.concat([diagonal1, r1[..., size:]], axis=-1)),
        r2=unpack(tf.concat([diagonal2, r2[..., size:]], axis=-1)),
        b=b,
        c=c,
        q=tf.maximum(q, tiny),
    )


def forward(
    v: tf.Tensor,
    r1: tf.Tensor,
    r2: tf.Tensor,
    b: tf.Tensor,
    c: tf.Tensor,
    q: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(R1 tanh(s), log|det|)` of `v`, `[..., M]`, where `s = R2 v + b`."""
    s = linear.times(r2, v) + b
    fldj = tf.reduce_sum(planar.log_det(s, c, q), axis=-1)
    return linear.times(r1, tf.tanh(s)), fldj


def inverse(
    w: tf.Tensor,
    r1: tf.Tensor,
    r2: tf.Tensor,
    b: tf.Tensor,
    c: tf.Tensor,
    q: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(R1 tanh(s), log|det dv/dw|)` at the root of `v + R1 tanh(s) = w`.

    By back-substitution: `s_i` is the root of `s_i + c_i tanh(s_i) = t_i`,
    i = M, ..., 1, where the units behind i give
    `t_i = (R2)_ii (w - R1 tanh(s))_i + (R2 v + b)_i`. The gradient is that of
    the implicit function, by a second substitution, from i = 1 to M.
    """

    def update(
        v: tf.Tensor,
        w: tf.Tensor,
        r1: tf.Tensor,
        r2: tf.Tensor,
        b: tf.Tensor,
        *unused: tf.Tensor,
    ) -> tf.Tensor:
        s = linear.times(r2, v) + b
        return w - linear.times(r1, tf.tanh(s))

    def pull_back(
        v_bar: tf.Tensor, v: tf.Tensor, *sources: tf.Tensor
    ) -> tf.Tensor:
        _, r1, r2, b, _, q = sources
        g, slope = _slopes(linear.times(r2, v) + b, q)
        return _solve(
            v_bar,
            tf.linalg.matrix_transpose(r2),
            tf.linalg.matrix_transpose(r1),
            g,
            slope,
            descending=False,
        )

    def refine(v: tf.Tensor, *sources: tf.Tensor) -> tf.Tensor:
        w, r1, r2, b, _, q = sources

        def equation(v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            s = linear.times(r2, v) + b
            jacobian = _matrix(r1, r2, *_slopes(s, q))
            return v + linear.times(r1, tf.tanh(s)) - w, jacobian

        def solve(residual: tf.Tensor, jacobian: tf.Tensor) -> tf.Tensor:
            return linear.solve_triangular(jacobian, residual, lower=False)

        return implicit.newton(v, equation, solve, 2)

    v = implicit.solution(
        _root, update, pull_back, refine, [w, r1, r2, b, c, q]
    )
    move, fldj = forward(v, r1, r2, b, c, q)
    return move, -fldj


def _slopes(s: tf.Tensor, q: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`sech(s)**2`, and `1 + c sech(s)**2` without cancellation."""
    g = stable.sech_squared(s)
    return g, tf.square(tf.tanh(s)) + q * g


def _matrix(
    left: tf.Tensor, right: tf.Tensor, g: tf.Tensor, slope: tf.Tensor
) -> tf.Tensor:
    """`I + left diag(g) right` of triangular matrices, its diagonal `slope`."""
    # The factor g, whose batch is that of the points, stands on the right, for
    # the fault that `linear.times` evades.
    product = tf.matmul(left, g[..., tf.newaxis] * right)
    is_diagonal = tf.eye(left.shape[-1], dtype=tf.bool)
    return tf.where(is_diagonal, slope[..., tf.newaxis], product)


def _root(
    w: tf.Tensor,
    r1: tf.Tensor,
    r2: tf.Tensor,
    b: tf.Tensor,
    c: tf.Tensor,
    q: tf.Tensor,
) -> tf.Tensor:
    """`v` of `v + R1 tanh(R2 v + b) = w`."""
    diagonal1, diagonal2 = map(tf.linalg.diag_part, (r1, r2))

    def unit(
        i: tf.Tensor, rest: tf.Tensor, inner: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        r1_i, r2_i, b_i, c_i, q_i = (
            tf.gather(a, i, axis=-1) for a in (diagonal1, diagonal2, b, c, q)
        )
        s = root_finding.tanh_root(c_i, q_i, r2_i * rest + (inner + b_i))
        h = tf.tanh(s)
        return rest - r1_i * h, h

    shapes = [w, r1[..., 0], r2[..., 0], b, c]
    return _substitute(unit, w, r1, r2, shapes, descending=True)


def _solve(
    r: tf.Tensor,
    left: tf.Tensor,
    right: tf.Tensor,
    g: tf.Tensor,
    slope: tf.Tensor,
    descending: bool,
) -> tf.Tensor:
    """`x` of `x + left (g * (right x)) = r`, triangular of one orientation.

    Args:
      r: right side, `[..., M]`.
      left: triangular, `[..., M, M]`; upper if `descending`, else lower.
      right: alike.
      g: `[..., M]`.
      slope: `1 + left_ii g_i right_ii` without cancellation, `[..., M]`.
      descending: whether unit M comes first.
    """

    def update(
        x: tf.Tensor,
        r: tf.Tensor,
        left: tf.Tensor,
        right: tf.Tensor,
        g: tf.Tensor,
    ) -> tf.Tensor:
        return r - linear.times(left, g * linear.times(right, x))

    def pull_back(
        x_bar: tf.Tensor, x: tf.Tensor, *sources: tf.Tensor
    ) -> tf.Tensor:
        _, left, right, g = sources
        return _solve(
            x_bar,
            tf.linalg.matrix_transpose(right),
            tf.linalg.matrix_transpose(left),
            g,
            slope,
            descending=not descending,
        )

    def refine(x: tf.Tensor, *sources: tf.Tensor) -> tf.Tensor:
        del x
        r, left, right, g = sources
        matrix = _matrix(left, right, g, slope)
        return linear.solve_triangular(matrix, r, lower=not descending)

    def search(
        r: tf.Tensor, left: tf.Tensor, right: tf.Tensor, g: tf.Tensor
    ) -> tf.Tensor:
        return _solution(r, left, right, g, slope, descending)

    return implicit.solution(
        search, update, pull_back, refine, [r, left, right, g]
    )


def _solution(
    r: tf.Tensor,
    left: tf.Tensor,
    right: tf.Tensor,
    g: tf.Tensor,
    slope: tf.Tensor,
    descending: bool,
) -> tf.Tensor:
    """`_solve`, by substitution."""
    left_g = tf.linalg.diag_part(left) * g
    right_diagonal = tf.linalg.diag_part(right)

    def unit(
        i: tf.Tensor, rest: tf.Tensor, inner: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        left_g_i, right_i, g_i, slope_i = (
            tf.gather(a, i, axis=-1) for a in (left_g, right_diagonal, g, slope)
        )
        x_i = (rest - left_g_i * inner) / slope_i
        return x_i, g_i * (right_i * x_i + inner)

    shapes = [r, left[..., 0], right[..., 0], g, slope]
    return _substitute(unit, r, left, right, shapes, descending)


def _substitute(
    unit: _Unit,
    r: tf.Tensor,
    left: tf.Tensor,
    right: tf.Tensor,
    broadcast: Sequence[tf.Tensor],
    descending: bool,
) -> tf.Tensor:
    """`x` of `x + left p = r`, where `p_i` is a function of `(right x)_i`.

    One unit after the other, in one rolled loop over i: `rest = (r - left p)_i`
    and `inner = (right x)_i` over the units that are known, from which
    `unit(i, rest, inner)` makes `x_i` and `p_i`.

    Args:
      unit: the scalar problem.
      r: right side, `[..., M]`.
      left: triangular, `[..., M, M]`; upper if `descending`, else lower.
      right: alike.
      broadcast: tensors whose common shape is that of `x`.
      descending: whether unit M comes first.
    """
    size = left.shape[-1]
    shape = functools.reduce(ps.broadcast_shape, map(ps.shape, broadcast))
    units = tf.range(size)

    def body(
        k: tf.Tensor, x: tf.Tensor, p: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        i = size - 1 - k if descending else k
        left_i, right_i = (tf.gather(a, i, axis=-2) for a in (left, right))
        rest = tf.gather(r, i, axis=-1) - tf.reduce_sum(left_i * p, axis=-1)
        x_i, p_i = unit(i, rest, tf.reduce_sum(right_i * x, axis=-1))
        is_i = tf.equal(units, i)
        return (
            k + 1,
            tf.where(is_i, x_i[..., tf.newaxis], x),
            tf.where(is_i, p_i[..., tf.newaxis], p),
        )

    zeros = tf.zeros(shape, r.dtype)
    _, x, _ = tf.while_loop(
        lambda k, *_: k < size,
        body,
        (0, zeros, zeros),
        maximum_iterations=size,
    )
    return x
