"""Element-wise couplings under a mask: 1 passes and conditions, 0 is moved."""

import tensorflow as tf

__all__ = ["default_mask", "forward", "inverse"]


def default_mask(event_size: int, dtype: tf.DType) -> tf.Tensor:
    """Ones for the first half (rounded up), zeros for the other."""
    num_fixed = event_size - event_size // 2
    return tf.concat(
        [tf.ones([num_fixed], dtype), tf.zeros([event_size // 2], dtype)], 0
    )


def forward(
    x: tf.Tensor,
    shift: tf.Tensor,
    log_scale: tf.Tensor | None,
    mask: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log|det dy/dx|)`, `y_i = x_i exp(log_scale_i) + shift_i` if moved.

    Args:
      x: `[..., D]`.
      shift: `[..., D]`; a function of `mask * x`.
      log_scale: the same, or None, zeros.
      mask: `[..., D]`, of zeros and ones.
    """
    moved = 1.0 - mask
    if log_scale is None:
        y = x + moved * shift
        return y, tf.zeros_like(y[..., 0])
    log_scale = moved * log_scale
    y = x * tf.exp(log_scale) + moved * shift
    return y, tf.reduce_sum(log_scale + tf.zeros_like(y), axis=-1)


def inverse(
    y: tf.Tensor,
    shift: tf.Tensor,
    log_scale: tf.Tensor | None,
    mask: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log|det dx/dy|)`; the arguments are those of `forward`."""
    moved = 1.0 - mask
    if log_scale is None:
        x = y - moved * shift
        return x, tf.zeros_like(x[..., 0])
    log_scale = moved * log_scale
    x = (y - moved * shift) * tf.exp(-log_scale)
    return x, -tf.reduce_sum(log_scale + tf.zeros_like(x), axis=-1)
