"""All noise of the library: stateless, keyed by (seed, step, purpose).

Equal keys give equal noise with XLA on and off, on one and N replicas, and in
a resumed run. TensorFlow's own stateless normals and uniforms do not: when
the key is a tensor, XLA and the graph kernels turn the same random bits into
other numbers. The bits themselves (philox) agree, so they become floats here.
"""

import math
import operator
import zlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.math import tracing
from tfp_flows.math.philox import philox_words
from tfp_flows.types import Shape, TensorLike

__all__ = [
    "check_seed",
    "key",
    "normal",
    "normal_rows",
    "tfp_seed",
    "uniform",
    "words",
]

_PHILOX = 1
# Numbers in the longest vector register of a CPU.
_LANES = 16


def check_seed(seed: Any) -> None:
    """Raises ValueError unless `seed` is an integer in [0, 2**31)."""
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**31:
        raise ValueError(
            f"`seed` must be in [0, 2**31), an integer; got {seed!r}."
        )


def key(*, seed: int | tf.Tensor, step: TensorLike, purpose: str) -> tf.Tensor:
    """The stateless seed (int64, shape [2]) of one draw.

    Args:
      seed: the run's seed, an int in [0, 2**31); a tensor in a graph is not
        checked again.
      step: the training step or the example's index; may be a tensor.
      purpose: what the noise is for; other purposes give independent noise.

    Raises:
      ValueError: `seed` is no integer in its range.
    """
    low = zlib.crc32(purpose.encode())
    if tf.is_symbolic_tensor(seed):
        high = tf.cast(seed, tf.int64) * 2**32 + low
    else:
        check_seed(seed)
        high = tf.constant((int(seed) << 32) | low, tf.int64)
    return tf.stack([high, tf.cast(step, tf.int64)])


def tfp_seed(key: TensorLike) -> tf.Tensor:
    """The seed for a draw of TFP (int32, shape [2]) of a key."""
    key = tf.convert_to_tensor(key)
    if key.dtype == tf.int32:
        return key
    return tf.random.stateless_uniform(
        [2], key, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )


def normal(
    shape: Shape,
    *,
    seed: int | tf.Tensor,
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
    pairs = _pairs_of_normals(
        (tf.cast(bits, compute_dtype) + 0.5) * 2.0**-width
    )
    flat = tf.reshape(pairs, [-1])[:size]
    return tf.cast(tf.reshape(flat, shape), dtype)


def normal_rows(
    num_rows: int | tf.Tensor,
    event_shape: Sequence[int],
    *,
    seed: int | tf.Tensor,
    step: TensorLike,
    purpose: str,
    first_row: TensorLike = 0,
    dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """Standard normal noise whose rows do not depend on how many are drawn.

    Row `i` is that of the global row `first_row + i`, so the noise of a batch
    is the concatenation of the noise of its shares. The rows before
    `first_row` are skipped, not drawn: each row has its own range of the
    counter of philox. It is other noise than that of `normal`.

    Args:
      num_rows: how many rows; may be a tensor.
      event_shape: the shape of one row, of Python ints.
      seed: the run's seed, as of `key`.
      step: the training step; may be a tensor.
      purpose: what the noise is for; other purposes give independent noise.
      first_row: the index of the first row, at least 0; may be a tensor.
      dtype: of the noise. Default: float32.

    Returns:
      Noise `[num_rows, *event_shape]`.

    Raises:
      ValueError: `seed` is no integer in its range.
    """
    width, word_dtype, compute_dtype = _words(dtype)
    num_rows = ps.cast(num_rows, tf.int32)
    size = math.prod(event_shape)
    num_pairs = (size + 1) // 2
    # One value of the counter makes 128 bits; rows start at whole values.
    counters_per_row = math.ceil(2 * num_pairs * width / 128)
    # The CPU rounds the last few numbers of an array otherwise: spare rows.
    num_drawn = num_rows + math.ceil(_LANES / max(num_pairs, 1))
    key_words = tf.random.stateless_uniform(
        [2],
        key(seed=seed, step=step, purpose=purpose),
        minval=None,
        maxval=None,
        dtype=tf.uint64,
        alg="philox",
    )
    counter = tf.cast(first_row, tf.int64) * counters_per_row
    draw = _rows_of_any_number if _shapes_are_bounds() else _rows_by_op
    bits = draw(num_drawn, counters_per_row, counter, key_words, word_dtype)
    bits = tf.reshape(bits, [num_drawn, 2, counters_per_row * 64 // width])
    bits = bits[..., :num_pairs]
    pairs = _pairs_of_normals(
        (tf.cast(bits, compute_dtype) + 0.5) * 2.0**-width
    )
    rows = tf.reshape(pairs, [num_drawn, 2 * num_pairs])[:num_rows, :size]
    return tf.cast(tf.reshape(rows, [num_rows, *event_shape]), dtype)


def uniform(
    shape: Shape,
    *,
    seed: int | tf.Tensor,
    step: TensorLike,
    purpose: str,
    dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """Uniform noise on [0, 1) of `shape` for the key (seed, step, purpose)."""
    bits, width, compute_dtype = _bits(shape, seed, step, purpose, dtype)
    digits = 53 if compute_dtype == tf.float64 else 24
    kept = tf.bitwise.right_shift(bits, tf.constant(width - digits, bits.dtype))
    return tf.cast(tf.cast(kept, compute_dtype) * 2.0**-digits, dtype)


def words(
    shape: Shape, *, seed: int | tf.Tensor, step: TensorLike, purpose: str
) -> tf.Tensor:
    """Random 32-bit words, uint32, of `shape` for (seed, step, purpose)."""
    return _bits(shape, seed, step, purpose, tf.float32)[0]


def _shapes_are_bounds() -> bool:
    """Whether XLA may know no more of a shape than what it is at most.

    So it is on a TPU, which pads the last batch of a data set; elsewhere XLA
    compiles anew for each shape.
    """
    return tracing.on_tpu()


def _rows_by_op(
    num_rows: TensorLike,
    per_row: int,
    counter: tf.Tensor,
    key_words: tf.Tensor,
    dtype: tf.DType,
) -> tf.Tensor:
    """Words `[num_rows, W]` of the counters from `counter` on."""
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[num_rows, 128 * per_row // (8 * dtype.size)],
        key=key_words[:1],
        counter=tf.stack([tf.cast(counter, tf.uint64), key_words[1]]),
        alg=_PHILOX,
        dtype=dtype,
    )


def _rows_of_any_number(
    num_rows: TensorLike,
    per_row: int,
    counter: tf.Tensor,
    key_words: tf.Tensor,
    dtype: tf.DType,
) -> tf.Tensor:
    """The same, `[num_rows, per_row, ...]`, for a number unknown to XLA."""
    first = tf.range(tf.cast(num_rows, tf.int64))[:, tf.newaxis] * per_row
    counters = counter + first + tf.range(per_row, dtype=tf.int64)
    words = philox_words(
        tf.cast(counters, tf.uint64), key_words[1], key_words[0]
    )
    if dtype == tf.uint64:
        pairs = tf.cast(tf.reshape(words, [num_rows, per_row, 2, 2]), tf.uint64)
        high = tf.bitwise.left_shift(pairs[..., 1], tf.constant(32, tf.uint64))
        words = tf.bitwise.bitwise_or(pairs[..., 0], high)
    return words


def _pairs_of_normals(fractions: tf.Tensor) -> tf.Tensor:
    """`[..., 2, P]` uniform on (0, 1) to `[..., P, 2]` standard normal."""
    first, second = tf.unstack(fractions, axis=-2)
    radius = tf.sqrt(-2.0 * tf.math.log(first))
    angle = 2.0 * math.pi * second
    return tf.stack([radius * tf.cos(angle), radius * tf.sin(angle)], axis=-1)


def _words(dtype: tf.DType) -> tuple[int, tf.DType, tf.DType]:
    """Width in bits and dtype of a random word; the dtype to compute in."""
    if tf.as_dtype(dtype) == tf.float64:
        return 64, tf.uint64, tf.float64
    return 32, tf.uint32, tf.float32


def _bits(
    shape: Shape,
    seed: int | tf.Tensor,
    step: TensorLike,
    purpose: str,
    dtype: tf.DType,
) -> tuple[tf.Tensor, int, tf.DType]:
    """Random words, their width in bits, and the dtype to compute in."""
    width, word_dtype, compute_dtype = _words(dtype)
    bits = tf.random.stateless_uniform(
        shape,
        key(seed=seed, step=step, purpose=purpose),
        minval=None,
        maxval=None,
        dtype=word_dtype,
        alg="philox",
    )
    return bits, width, compute_dtype
