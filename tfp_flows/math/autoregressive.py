"""Maps `y_i = f(x_i; theta_i)`, where `theta_i` depends on the x before i."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.math import implicit, linear, stable, tracing

__all__ = ["invert", "push_density_gradient"]

# f(x, theta) -> (y, log dy/dx), for x [..., N] and theta [..., P, N].
Elementwise = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
# theta(x, *sources): [..., D] -> [..., P, D].
Conditioner = Callable[..., tf.Tensor]

# A pass that changes nothing by more than this many eps is the last one.
_CHANGE_IN_EPS = 4.0


def invert(
    y: tf.Tensor,
    sources: Sequence[tf.Tensor],
    conditioner: Conditioner,
    forward: Elementwise,
    inverse: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    sequence: Sequence[int],
) -> tf.Tensor:
    """The x at which `forward(x, conditioner(x, *sources))` is `y`.

    Passes through the conditioner in one rolled loop. Each settles one more
    coordinate for good and improves the others, `x <- inverse(y, theta(x))`, so
    that at most D are needed; the loop ends once nothing changes but by
    rounding. The gradient is that of the implicit function: a second loop
    solves the transposed triangular system in the same way, at the activations
    of one pass.

    Args:
      y: `[..., D]`, in the shape of the result.
      sources: floating-point tensors that the conditioner depends on.
      conditioner: `theta(x, *sources)`, `[..., P, D]`.
      forward: the map of one coordinate, and its log-derivative.
      inverse: what undoes it, without gradients.
      sequence: the coordinates, in the order in which they depend on one
        another.
    """
    size = len(sequence)
    places = tf.constant(np.argsort(sequence), tf.int32)

    def search(y: tf.Tensor, *sources: tf.Tensor) -> tf.Tensor:
        def step(k: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            found = inverse(y, conditioner(x, *sources))
            # Of a coordinate that is not settled yet, an overflow would pass
            # through the masks of the network as NaN.
            is_kept = (places <= k) | tf.math.is_finite(found)
            found = tf.where(is_kept, found, tf.zeros_like(y))
            found = tf.ensure_shape(found, x.shape)
            is_moved = _is_moved(found - x, 1.0 + tf.abs(found))
            # One that is replaced has not been seen yet.
            return found, is_moved | ~tf.reduce_all(is_kept)

        return _loop(size, step, y)

    def residual(
        x: tf.Tensor, y: tf.Tensor, *sources: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        value, log_derivative = forward(x, conditioner(x, *sources))
        return value - y, log_derivative

    def update(x: tf.Tensor, y: tf.Tensor, *sources: tf.Tensor) -> tf.Tensor:
        return x - residual(x, y, *sources)[0]

    def pull_back(
        x_bar: tf.Tensor, x: tf.Tensor, y: tf.Tensor, *sources: tf.Tensor
    ) -> tf.Tensor:
        def solve(
            ends_early: bool, x_bar: tf.Tensor, *at: tf.Tensor
        ) -> tf.Tensor:
            x, *sources = at
            _, log_derivative, product = implicit.linearize(
                lambda x: residual(x, *sources), x
            )
            return _solve_transposed(product, log_derivative, x_bar, ends_early)

        at = [x, y, *sources]
        if tracing.in_vectorized_map():
            return refined_pull_back(x_bar, *at)
        return implicit.with_derivatives_of(
            functools.partial(solve, True),
            functools.partial(solve, False),
            [x_bar, *at],
        )

    def triangle(x: tf.Tensor, y: tf.Tensor, *sources: tf.Tensor) -> _Triangle:
        x, *fixed = map(tf.stop_gradient, (x, y, *sources))
        matrix = _jacobian(lambda x: residual(x, *fixed)[0], x)
        return _Triangle(tf.stop_gradient(matrix), sequence)

    def refine(x: tf.Tensor, y: tf.Tensor, *sources: tf.Tensor) -> tf.Tensor:
        jacobian = triangle(x, y, *sources)
        return implicit.newton(
            x,
            lambda x: residual(x, y, *sources),
            lambda r, _: jacobian.solve(r),
            implicit.NUM_ORDERS,
        )

    def refined_pull_back(x_bar: tf.Tensor, *at: tf.Tensor) -> tf.Tensor:
        jacobian = triangle(*at)
        x, *sources = at
        _, _, product = implicit.linearize(lambda x: residual(x, *sources), x)
        u = jacobian.solve_transposed(tf.stop_gradient(x_bar))
        return implicit.newton(
            u,
            lambda u: (product(u) - x_bar, None),
            lambda r, _: jacobian.solve_transposed(r),
            implicit.NUM_ORDERS,
        )

    def guarded_search(*sources: tf.Tensor) -> tf.Tensor:
        return implicit.guarded(search(*map(tf.stop_gradient, sources)))

    return implicit.solution(
        guarded_search, update, pull_back, refine, [y, *sources]
    )


class _Triangle(NamedTuple):
    """A matrix `[..., D, D]` that is lower triangular in a sequence."""

    matrix: tf.Tensor
    sequence: Sequence[int]

    def solve(self, r: tf.Tensor) -> tf.Tensor:
        """`matrix^(-1) r` of `[..., D]`."""
        return self._solve(r, transpose=False)

    def solve_transposed(self, r: tf.Tensor) -> tf.Tensor:
        """`matrix'^(-1) r` of `[..., D]`."""
        return self._solve(r, transpose=True)

    def _solve(self, r: tf.Tensor, transpose: bool) -> tf.Tensor:
        def ordered(a: tf.Tensor, axis: int) -> tf.Tensor:
            return tf.gather(a, list(self.sequence), axis=axis)

        matrix = ordered(ordered(self.matrix, -1), -2)
        if transpose:
            matrix = tf.linalg.matrix_transpose(matrix)
        solved = linear.solve_triangular(
            matrix, ordered(r, -1), lower=not transpose
        )
        return tf.gather(solved, np.argsort(self.sequence), axis=-1)


def _jacobian(
    function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor
) -> tf.Tensor:
    """That of `function` at x, `[..., D, D]`, its rows all at once.

    Without a loop, whose body XLA would not compile in a vectorized map.
    """
    size, rank = x.shape[-1], ps.rank(x)
    shape = ps.concat([[size], ps.shape(x)], axis=0)
    ones = ps.concat([[size], ps.ones_like(ps.shape(x)[:-1]), [size]], axis=0)
    units = tf.reshape(tf.eye(size, dtype=x.dtype), ones)
    _, (rows,) = implicit.vector_jacobian_product(
        function, [tf.broadcast_to(x, shape)], tf.broadcast_to(units, shape)
    )
    order = ps.concat([ps.range(1, rank), [0, rank]], axis=0)
    return tf.transpose(rows, order)


def push_density_gradient(
    x: tf.Tensor,
    gradient: tf.Tensor,
    conditioner: Callable[[tf.Tensor], tf.Tensor],
    forward: Elementwise,
) -> tuple[tf.Tensor, tf.Tensor]:
    """y, and the gradient of `log q(y)` in y, of that of `log q(x)` in x.

        log q(y) = log q(x) - log|det J|, so
        gradient_y = J'^(-1) (gradient_x - d log|det J| / dx)

    with `J = dy/dx`, found in the rounds of `invert`'s derivative. No
    derivative passes through.

    Args:
      x: `[..., D]`.
      gradient: of `log q(x)`, alike.
      conditioner: `theta(x)`, `[..., P, D]`.
      forward: the map of one coordinate, and its log-derivative.
    """
    y, log_derivative, product = implicit.linearize(
        lambda x: forward(x, conditioner(x)), x
    )
    log_det_gradient = product(None, tf.ones_like(log_derivative))
    return y, _solve_transposed(
        product, log_derivative, gradient - log_det_gradient
    )


def _solve_transposed(
    product: Callable[[tf.Tensor], tf.Tensor],
    log_diagonal: tf.Tensor,
    x_bar: tf.Tensor,
    ends_early: bool = True,
) -> tf.Tensor:
    """The u at which `J' u = x_bar`, for a J of triangular form.

    Each round settles one more coordinate.

    Args:
      product: `J' u` of u.
      log_diagonal: the logarithms of J's diagonal, `[..., D]`.
      x_bar: `[..., D]`.
      ends_early: whether to end where nothing changes but by rounding.
    """
    inverse_diagonal = stable.inverse_slope(log_diagonal)

    def step(k: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        del k
        change = inverse_diagonal * (x_bar - product(u))
        u = tf.ensure_shape(u + change, x_bar.shape)
        scale = tf.reduce_max(tf.abs(u), axis=-1, keepdims=True)
        return u, _is_moved(change, scale)

    start = inverse_diagonal * x_bar
    return _loop(x_bar.shape[-1] - 1, step, start, ends_early)


def _is_moved(change: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Whether any entry changed by more than rounding; scalar."""
    eps = np.finfo(change.dtype.as_numpy_dtype).eps
    # Not `>`, so that NaN counts as moved.
    return ~tf.reduce_all(tf.abs(change) <= _CHANGE_IN_EPS * eps * scale)


def _loop(
    num_steps: int,
    step: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    start: tf.Tensor,
    ends_early: bool = True,
) -> tf.Tensor:
    """`step(k, x)`, which returns the next x and whether it has moved."""
    if not ends_early or tracing.counts_only():

        def goes_on(k: tf.Tensor, x: tf.Tensor, moved: tf.Tensor) -> tf.Tensor:
            del x, moved
            return k < num_steps
    else:

        def goes_on(k: tf.Tensor, x: tf.Tensor, moved: tf.Tensor) -> tf.Tensor:
            del x
            return (k < num_steps) & moved

    return tf.while_loop(
        goes_on,
        lambda k, x, _: (k + 1, *step(k, x)),
        (0, start, tf.constant(True)),
        maximum_iterations=num_steps,
    )[1]
