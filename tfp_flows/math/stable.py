"""Elementary functions written so that nothing cancels, also in gradients."""

import math

import numpy as np
import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.types import TensorLike

__all__ = [
    "inverse_slope",
    "log1p_from_total",
    "log_mean_exp",
    "norm",
    "sech_squared",
    "standard_normal_cdf",
    "standard_normal_log_prob",
]


def sech_squared(s: tf.Tensor) -> tf.Tensor:
    """`1 - tanh(s)**2` with full relative precision, also for large `|s|`."""
    e = tf.exp(-2.0 * tf.abs(s))
    return 4.0 * e / tf.square(1.0 + e)


def log1p_from_total(delta: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
    """`log(1 + delta)` where `total == 1 + delta > 0` is known uncancelled.

    `log1p(delta)` is exact near `delta = 0` and loses everything as `delta`
    goes to -1; `log(total)` is the other way round.
    """
    # XLA's float64 log1p is off by 100 eps near -0.4.
    use_delta = delta > -0.25
    safe_delta = tf.where(use_delta, delta, tf.zeros_like(delta))
    safe_total = tf.where(use_delta, tf.ones_like(total), total)
    return tf.where(
        use_delta, tf.math.log1p(safe_delta), tf.math.log(safe_total)
    )


def inverse_slope(log_slope: tf.Tensor) -> tf.Tensor:
    """`exp(-log_slope)`, finite also on what is flat to all digits."""
    limit = 0.5 * math.log(np.finfo(log_slope.dtype.as_numpy_dtype).max)
    return tf.exp(tf.minimum(-log_slope, limit))


def log_mean_exp(values: TensorLike, axis: int = 0) -> tf.Tensor:
    """`log(mean(exp(values)))` over one axis, without overflow."""
    values = tf.convert_to_tensor(values)
    count = tf.cast(ps.shape(values)[axis], values.dtype)
    return tf.reduce_logsumexp(values, axis=axis) - tf.math.log(count)


def standard_normal_log_prob(x: tf.Tensor) -> tf.Tensor:
    """`log N(x; 0, I)` in nats, `[...]`, of vectors `[..., D]`."""
    return -0.5 * tf.reduce_sum(x * x + math.log(2.0 * math.pi), axis=-1)


def standard_normal_cdf(x: tf.Tensor) -> tf.Tensor:
    """The share of N(0, 1) below x, in (0, 1] and precise in the lower tail."""
    return 0.5 * tf.math.erfc(-math.sqrt(0.5) * x)


def norm(x: tf.Tensor) -> tf.Tensor:
    """Euclidean norm over the last axis, with gradient zero at `x = 0`."""
    squared = tf.reduce_sum(tf.square(x), axis=-1)
    is_zero = tf.equal(squared, 0.0)
    safe = tf.where(is_zero, tf.ones_like(squared), squared)
    return tf.where(is_zero, tf.zeros_like(squared), tf.sqrt(safe))
