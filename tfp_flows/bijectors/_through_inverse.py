"""The gradient of a density behind a map, by the derivative of its inverse."""

from collections.abc import Callable

import tensorflow as tf

__all__ = ["push_through_inverse"]


def push_through_inverse(
    forward: Callable[[tf.Tensor], tf.Tensor],
    inverse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    x: tf.Tensor,
    gradient: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, gradient of log q(y) in y)`, see `density_gradients`.

    Args:
      forward: y of x.
      inverse: `(x, log|det dx/dy|)` of y.
      x: `[..., D]`.
      gradient: of `log q(x)` in x, alike.
    """
    # A bijector's cache would answer with an x that does not depend on y.
    y = tf.identity(tf.stop_gradient(forward(x)))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(y)
        again, log_det = inverse(y)
    pulled = tape.gradient(
        [again, log_det],
        y,
        output_gradients=[gradient, tf.ones_like(log_det)],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return y, pulled
