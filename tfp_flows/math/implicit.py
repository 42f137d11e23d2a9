"""Solutions of equations, with the gradients of the implicit function.

No derivative passes through a search. TensorFlow drops custom gradients where
it rewrites a graph (`tf.vectorized_map`); there the derivatives come from steps
of Newton's method, or are refused.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.math import tracing

__all__ = [
    "NUM_ORDERS",
    "guarded",
    "linearize",
    "newton",
    "solution",
    "vector_jacobian_product",
    "with_derivatives_of",
]

# Orders of derivative that are right in a vectorized map.
NUM_ORDERS = 3

_REFUSAL = (
    "`tf.vectorized_map` called a tf.function that was traced outside of it, "
    "which drops the gradients that a flow defines itself. Call the function "
    "itself in the map, or take the gradient within the tf.function."
)


def solution(
    search: Callable[..., tf.Tensor],
    update: Callable[..., tf.Tensor],
    pull_back: Callable[..., tf.Tensor],
    refine: Callable[..., tf.Tensor],
    sources: Sequence[tf.Tensor],
) -> tf.Tensor:
    """The solution x, `[..., M]`, of `x = update(x, *sources)`.

    Derivatives of every order are right, in a vectorized map those up to
    `NUM_ORDERS`.

    Args:
      search: x of the sources; its own derivatives are right, or `guarded`.
      update: `update(x, *sources)`.
      pull_back: `pull_back(x_bar, x, *sources)`, the solution `u` of
        `u - (d update / d x)' u = x_bar`.
      refine: `refine(x, *sources)`, x with right derivatives of its own.
      sources: what the solution depends on.
    """
    if tracing.in_vectorized_map():
        x = search(*map(tf.stop_gradient, sources))
        return refine(x, *sources)

    @tf.custom_gradient
    def solved(*sources: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        x = search(*sources)
        # What a second gradient reads of a loop takes no derivative, not even
        # one of zeros, into a guarded search.
        found = tf.stop_gradient(x)

        def gradient(x_bar: tf.Tensor) -> list[tf.Tensor]:
            again = solution(
                lambda *_: guarded(found), update, pull_back, refine, sources
            )
            u = pull_back(x_bar, again, *sources)
            return vector_jacobian_product(
                lambda *sources: update(again, *sources), sources, u
            )[1]

        return x, gradient

    return solved(*map(tf.identity, sources))


def guarded(x: tf.Tensor) -> tf.Tensor:
    """`x`, from which a derivative of its own is refused by a LookupError."""
    if tf.executing_eagerly():
        return x
    return tf.raw_ops.PreventGradient(input=x, message=_REFUSAL)


def newton(
    x: tf.Tensor,
    equation: Callable[[tf.Tensor], tuple[tf.Tensor, Any]],
    solve: Callable[[tf.Tensor, Any], tf.Tensor],
    num_steps: int,
) -> tf.Tensor:
    """`x` in value; in its derivatives, steps of Newton's method from there.

    Each step adds an order of derivatives that are right; it doubles them, and
    adds one, if `solve` is differentiable in what `equation` returns.

    Args:
      x: the solution; no derivative passes through it.
      equation: `(residual, auxiliary)` of x; the residual's value is not used.
      solve: `solve(residual, auxiliary)`, the step that takes it to 0.
      num_steps: how many.
    """
    x = tf.stop_gradient(x)
    for _ in range(num_steps):
        residual, auxiliary = equation(x)
        x -= solve(residual - tf.stop_gradient(residual), auxiliary)
    return x


def with_derivatives_of(
    fast: Callable[..., tf.Tensor],
    exact: Callable[..., tf.Tensor],
    sources: Sequence[tf.Tensor],
) -> tf.Tensor:
    """`fast(*sources)` in value, with the derivatives of `exact`.

    For an iteration that ends where its value is right, which says nothing of
    the derivatives of that iteration.
    """

    @tf.custom_gradient
    def evaluated(*sources: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(bar: tf.Tensor) -> list[tf.Tensor]:
            return vector_jacobian_product(exact, sources, bar)[1]

        return guarded(fast(*map(tf.stop_gradient, sources))), gradient

    return evaluated(*map(tf.identity, sources))


def vector_jacobian_product(
    function: Callable[..., Any],
    sources: Sequence[tf.Tensor],
    bars: Any,
) -> tuple[Any, list[tf.Tensor]]:
    """`function(*sources)`, and `bars' d function / d sources`.

    Zeros where a source has no part in it.
    """
    # In the gradient of a loop or a branch the sources may be tensors of the
    # graph around it, which a tape does not see.
    sources = list(map(tf.identity, sources))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        values = function(*sources)
    return values, tape.gradient(
        values,
        sources,
        output_gradients=bars,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def linearize(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]], x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, Callable[..., tf.Tensor]]:
    """`(value, auxiliary)` of x, and `product(v, a=None)`.

    The product is `v' d value / d x + a' d auxiliary / d x`, by one run of the
    function for all products.
    """
    x = tf.identity(x)  # as above
    with tf.GradientTape(
        persistent=True, watch_accessed_variables=False
    ) as tape:
        tape.watch(x)
        value, auxiliary = function(x)

    def product(v: tf.Tensor | None, a: tf.Tensor | None = None) -> tf.Tensor:
        parts = [(value, v), (auxiliary, a)]
        targets, bars = zip(
            *(p for p in parts if p[1] is not None), strict=True
        )
        return tape.gradient(
            targets,
            x,
            output_gradients=bars,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )

    return value, auxiliary, product
