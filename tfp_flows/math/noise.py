"""All noise of the library: stateless, keyed by (seed, step, purpose).

Equal keys give equal noise with XLA on and off, on one and N replicas, and in
a resumed run. TensorFlow's own stateless normals and uniforms do not: when
the key is a tensor, XLA and the graph kernels turn the same random bits into
other numbers. The bits themselves (philox) agree, so they become floats here.
"""

import math
import zlib

import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.types import Shape, TensorLike

__all__ = ["key", "normal", "uniform"]


def key(*, seed: int, step: TensorLike, purpose: str) -> tf.Tensor:
    """The stateless seed (int64, shape [2]) of one draw.

    Args:
      seed: the run's seed, a Python int in [0, 2**31).
      step: the training step or the example's index; may be a tensor.
      purpose: what the noise is for; other purposes give independent noise.

    Raises:
      ValueError: `seed` is out of range.
    """
    if not 0 <= int(seed) < 2**31:
        raise ValueError(f"`seed` must be in [0, 2**31); got {seed}.")
    low = zlib.crc32(purpose.encode())
    high = tf.constant((int(seed) << 32) | low, tf.int64)
    return tf.stack([high, tf.cast(step, tf.int64)])


def normal(
    shape: Shape,
    *,
    seed: int,
    step: TensorLike,
    purpose: str,
    dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """Standard normal noise of `shape` for the key (seed, step, purpose).

    By the transform of Box and Muller, whose functions XLA and the graph
    kernels agree on to a few units in the last place.
    """
    shape = ps.cast(ps.convert_to_shape_tensor(shape), tf.int32)
    size = ps.reduce_prod(shape)
    num_pairs = (size + 1) // 2
    bits, width, compute_dtype = _bits(
        [2, num_pairs], seed, step, purpose, dtype
    )
    fractions = (tf.cast(bits, compute_dtype) + 0.5) * 2.0**-width
    radius = tf.sqrt(-2.0 * tf.math.log(fractions[0]))
    angle = 2.0 * math.pi * fractions[1]
    pairs = tf.stack([radius * tf.cos(angle), radius * tf.sin(angle)], axis=1)
    flat = tf.reshape(pairs, [-1])[:size]
    return tf.cast(tf.reshape(flat, shape), dtype)


def uniform(
    shape: Shape,
    *,
    seed: int,
    step: TensorLike,
    purpose: str,
    dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """Uniform noise on [0, 1) of `shape` for the key (seed, step, purpose)."""
    bits, width, compute_dtype = _bits(shape, seed, step, purpose, dtype)
    digits = 53 if compute_dtype == tf.float64 else 24
    kept = tf.bitwise.right_shift(bits, tf.constant(width - digits, bits.dtype))
    return tf.cast(tf.cast(kept, compute_dtype) * 2.0**-digits, dtype)


def _bits(
    shape: Shape,
    seed: int,
    step: TensorLike,
    purpose: str,
    dtype: tf.DType,
) -> tuple[tf.Tensor, int, tf.DType]:
    """Random words, their width in bits, and the dtype to compute in."""
    is_double = tf.as_dtype(dtype) == tf.float64
    bits = tf.random.stateless_uniform(
        shape,
        key(seed=seed, step=step, purpose=purpose),
        minval=None,
        maxval=None,
        dtype=tf.uint64 if is_double else tf.uint32,
        alg="philox",
    )
    if is_double:
        return bits, 64, tf.float64
    return bits, 32, tf.float32
