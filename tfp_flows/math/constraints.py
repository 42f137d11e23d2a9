"""Unconstrained parameters -> parameters of an invertible map."""

import math

import numpy as np
import tensorflow as tf

__all__ = [
    "UNIT_SHIFT",
    "bounded",
    "check_bound",
    "positive",
    "tiny",
    "weights",
]

# softplus(UNIT_SHIFT) == 1.
UNIT_SHIFT = math.log(math.e - 1.0)


def check_bound(name: str, bound: float) -> None:
    """Raises ValueError unless `bound` is a positive, finite number."""
    if not 0.0 < bound < math.inf:
        raise ValueError(
            f"`{name}` must be positive and finite; got {bound!r}."
        )


def bounded(x: tf.Tensor, bound: float) -> tf.Tensor:
    """`bound * tanh(x / bound)`: in (-bound, bound), of slope 1 at 0."""
    return bound * tf.tanh(x / bound)


def positive(x: tf.Tensor, power: float = 1.0) -> tf.Tensor:
    """`softplus(x)`, at least `tiny**power`, so that it never underflows.

    `tiny` is the smallest normal number of the dtype.
    """
    return tf.maximum(tf.math.softplus(x), tiny(x.dtype) ** power)


def weights(logits: tf.Tensor, minimum: float) -> tf.Tensor:
    """`softmax(logits)` over axis -2, mixed with the uniform weights.

        (softmax(logits) + minimum / N) / (1 + minimum),  N logits

    Args:
      logits: `[..., N, D]`.
      minimum: the smallest weight over the mean one, nearly.
    """
    # tf.nn.softmax transposes for an axis that is not the last.
    top = tf.stop_gradient(tf.reduce_max(logits, axis=-2, keepdims=True))
    e = tf.exp(logits - top)
    e += minimum * tf.reduce_mean(e, axis=-2, keepdims=True)
    return e / tf.reduce_sum(e, axis=-2, keepdims=True)


def tiny(dtype: tf.DType) -> float:
    """The smallest normal number of the dtype."""
    return float(np.finfo(dtype.as_numpy_dtype).tiny)
