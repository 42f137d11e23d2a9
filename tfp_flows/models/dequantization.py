"""Whole numbers from 0 to L - 1 as numbers in (0, L)."""

import math

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.math import stable

__all__ = ["bits_per_dim", "dequantized", "quantized", "support"]

tfb = tfp.bijectors

# Dequantised values lie in (0, L); a float32 may be rounded to an end.
_MARGIN = 1e-6


def support(num_levels: int, dtype: str) -> tfb.Bijector:
    """From R onto the interval of dequantised values."""
    margin = _MARGIN * num_levels
    return tfb.Sigmoid(
        low=tf.constant(-margin, dtype),
        high=tf.constant(num_levels + margin, dtype),
    )


def dequantized(x: tf.Tensor, standard_normal: tf.Tensor) -> tf.Tensor:
    """`x + u`, u uniform on [0, 1): the quantiles of the normal noise."""
    return x + stable.standard_normal_cdf(standard_normal)


def quantized(x: tf.Tensor, num_levels: int) -> tf.Tensor:
    """The whole numbers of dequantised ones."""
    return tf.clip_by_value(tf.floor(x), 0.0, num_levels - 1.0)


def bits_per_dim(log_likelihoods: tf.Tensor, size: int) -> tf.Tensor:
    """`-log p / (D log 2)` of log-likelihoods in nats, for D = `size`."""
    return -log_likelihoods / (math.log(2.0) * size)
