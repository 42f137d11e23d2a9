"""Bernoulli likelihood of binary data."""

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["bernoulli"]

tfd = tfp.distributions


def bernoulli(logits: tf.Tensor) -> tfd.Bernoulli:
    """Independent Bernoulli variables with the given logits.

    Of a grey value x in (0, 1) its `log_prob` is `x * log p + (1 - x) *
    log(1 - p)`, which is the log-likelihood of no binary image.
    """
    return tfd.Bernoulli(logits=logits, dtype=logits.dtype)
