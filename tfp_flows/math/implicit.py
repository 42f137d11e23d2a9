"""Solutions of equations, with the gradients of the implicit function."""

from collections.abc import Callable, Sequence

import tensorflow as tf

__all__ = ["attach", "with_derivatives_of"]


def attach(
    x: tf.Tensor,
    update: Callable[..., tf.Tensor],
    pull_back: Callable[..., tf.Tensor],
    sources: Sequence[tf.Tensor],
) -> tf.Tensor:
    """`x` in value; in its derivatives the solution of `x = update(x, ...)`.

    Derivatives of every order are right, and none passes through the search.

    Args:
      x: the solution, `[..., M]`, without gradients.
      update: `update(x, *sources)`.
      pull_back: `pull_back(x_bar, x, *sources)`, the solution `u` of
        `u - (d update / d x)' u = x_bar`.
      sources: what the solution depends on.
    """

    @tf.custom_gradient
    def attached(
        x: tf.Tensor, *sources: tf.Tensor
    ) -> tuple[tf.Tensor, Callable]:
        def gradient(x_bar: tf.Tensor) -> tuple[tf.Tensor, ...]:
            again = attach(x, update, pull_back, sources)
            u = pull_back(x_bar, again, *sources)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                value = update(again, *sources)
            bars = tape.gradient(value, sources, output_gradients=u)
            return tf.zeros_like(x), *bars

        return tf.identity(x), gradient

    return attached(x, *sources)


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
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                value = exact(*sources)
            return tape.gradient(value, sources, output_gradients=bar)

        return fast(*map(tf.stop_gradient, sources)), gradient

    return evaluated(*sources)
