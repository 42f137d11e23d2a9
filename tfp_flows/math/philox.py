"""Random bits of the counter-based generator philox4x32-10, one op at a time.

Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2,
3": ten rounds turn a counter of 128 bits and a key of 64 into 128 random bits.
TensorFlow's own op makes the same bits faster, but where XLA compiles it its
shape has to be known, which a batch's on a TPU need not be. These functions
take counters of any shape.
"""

from typing import NamedTuple

import tensorflow as tf

__all__ = ["philox_words"]

_NUM_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)


def philox_words(
    counter: tf.Tensor, high_counter: tf.Tensor, key: tf.Tensor
) -> tf.Tensor:
    """The 128 bits of each counter, as four words of 32.

    Args:
      counter: the lower 64 bits of each counter, uint64 `[...]`.
      high_counter: the upper 64 bits of all of them, uint64, a scalar.
      key: uint64, a scalar.

    Returns:
      Words `[..., 4]`, uint32, the lowest first, in the order in which
      `tf.raw_ops.StatelessRandomUniformFullIntV2` returns them.
    """
    low, high = _halves(counter)
    upper_low, upper_high = _halves(high_counter)
    words = [low, high, upper_low, upper_high]
    keys = list(_halves(key))
    for _ in range(_NUM_ROUNDS):
        first, second = (
            _product(word, multiplier)
            for word, multiplier in zip(words[::2], _MULTIPLIERS, strict=True)
        )
        words = [
            _xor(second.high, words[1], keys[0]),
            second.low,
            _xor(first.high, words[3], keys[1]),
            first.low,
        ]
        keys = [
            key + tf.constant(step, tf.uint32)
            for key, step in zip(keys, _KEY_STEPS, strict=True)
        ]
    return tf.stack(words, axis=-1)


class _Halves(NamedTuple):
    """Of a number of 64 bits, uint32."""

    low: tf.Tensor
    high: tf.Tensor


def _halves(x: tf.Tensor) -> _Halves:
    high = tf.bitwise.right_shift(x, tf.constant(32, tf.uint64))
    # The cast keeps the lower bits.
    return _Halves(tf.cast(x, tf.uint32), tf.cast(high, tf.uint32))


def _product(word: tf.Tensor, multiplier: int) -> _Halves:
    return _halves(
        tf.cast(word, tf.uint64) * tf.constant(multiplier, tf.uint64)
    )


def _xor(x: tf.Tensor, y: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(x, y), z)
