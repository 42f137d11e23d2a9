"""The gradient of a density behind a map, by the derivative of its inverse."""

from collections.abc import Callable

import tensorflow as tf

__all__ = ["push_through_inverse"]


def push_through_inverse(
    forward: Callable[[tf.Tensor], tf.Tensor],
    inverse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    x: tf.Tensor,
    gradient: tf.Tensor,
    name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, gradient of log q(y) in y)`, see `density_gradients`.

    Args:
      forward: y of x.
      inverse: `(x, log|det dx/dy|)` of y.
      x: `[..., D]`.
      gradient: of `log q(x)` in x, alike.
      name: of a bijector that may be of others, whose inverse is checked.

    Raises:
      ValueError: the inverse of such a one is missing or has no gradient.
    """
    # A bijector's cache would answer with an x that does not depend on y.
    y = tf.identity(tf.stop_gradient(forward(x)))
    if name is None:  # one of ours, which keeps the shape; unknown axes hide it
        y = tf.ensure_shape(y, x.shape)
    with tf.GradientTape(
        watch_accessed_variables=False, persistent=name is not None
    ) as tape:
        tape.watch(y)
        try:
            again, log_det = inverse(y)
        except NotImplementedError as error:
            raise ValueError(_refusal(name, "none")) from error
    if name is not None and tape.gradient(again, y) is None:
        raise ValueError(_refusal(name, "one without a gradient"))
    pulled = tape.gradient(
        [again, log_det],
        y,
        output_gradients=[gradient, tf.ones_like(log_det)],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return y, tf.ensure_shape(pulled, y.shape)


def _refusal(name: str | None, got: str) -> str:
    return (
        f"`bijector` must have a differentiable inverse; got {got} of "
        f"{name or 'a member of a Scan'}. The gradient estimator "
        "'reparameterized' does without."
    )
