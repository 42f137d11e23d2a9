"""Checks of dtypes and values: of arrays in NumPy, of data sets in their graph.

None of them is part of a training step, where XLA drops assertions.

Pixels that must be in [0, 1] may lie beyond by what rounding in float32 makes
of a bound, `TOLERANCE`, and are clipped: `x * (1 / 255)`, a change of contrast
or a resized image easily gives 1.0000001.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.models import input_shapes

__all__ = [
    "TOLERANCE",
    "Found",
    "InputRules",
    "check_dtype",
    "check_tensor",
    "check_values",
    "count_non_binary",
    "mark",
    "marked_message",
]

# How far beyond 0 and 1 values are clipped and not refused.
TOLERANCE = 8 * 2.0**-23  # 8 float32 spacings of 1, about 1e-6

# Around a message that TensorFlow wraps into an error of its own.
_BEGIN, _END = "<input error>", "</input error>"
# A part of an array that fits a core's cache together with its masks.
_CHUNK_BYTES = 2**19

_NOT_FINITE = (
    "`{argument}` must be finite in {dtype}; got {value} in example {example}"
    "{batch} (counted from 0)."
)
_OUT_OF_RANGE = (
    "`{argument}` must be in [0, 1] for the likelihood {likelihood}; got "
    "values from {low} to {high}, first in example {example}{batch} (counted "
    "from 0). Scale pixels of 0 to 255 with `x / 255`."
)


class InputRules(NamedTuple):
    """What a model asks of its images.

    Attributes:
      event_shape: shape of an image as the encoder takes it, or None if the
        first data decide it.
      support: "binary", "unit_interval" or "real".
      dtype: "float32" or "float64": what the model computes with.
      likelihood: name of the likelihood, for messages.
    """

    event_shape: tuple[int, ...] | None
    support: str
    dtype: str
    likelihood: str


class Found(NamedTuple):
    """What `check_values` found.

    Attributes:
      non_binary: whether there are values other than 0 and 1; False if they
        were not looked for.
      beyond: whether there are values to be clipped to [0, 1].
    """

    non_binary: bool
    beyond: bool


def mark(message: str) -> str:
    """Marks a message, so that it is found again inside another one."""
    return f"{_BEGIN}{message}{_END}"


def marked_message(text: str) -> str | None:
    """Returns the first marked message in a text, or None."""
    _, begin, rest = text.partition(_BEGIN)
    message, end, _ = rest.partition(_END)
    return message if begin and end else None


def check_dtype(
    dtype: Any, rules: InputRules, argument: str = "x", dataset: bool = False
) -> bool:
    """Checks that a dtype can hold images.

    Args:
      dtype: a NumPy or TensorFlow dtype.
      rules: what the model asks for.
      argument: what error messages call the images.
      dataset: whether they come from a data set, whose values are not seen.

    Returns:
      Whether the images are integers that are right only if all are 0 or 1.

    Raises:
      ValueError: if no image of that dtype is right.
    """
    try:
        kind = tf.as_dtype(dtype)
    except TypeError:
        kind = tf.string
    if kind.is_floating or kind.is_bool:
        return False
    if not kind.is_integer:
        raise ValueError(
            f"{_number_rule(rules, argument)}; got dtype "
            f"{getattr(dtype, 'name', dtype)}."
        )
    if kind.size == 1 or (dataset and rules.support != "real"):
        raise ValueError(scaling_message(kind.name, rules, argument, dataset))
    return rules.support != "real"


def _number_rule(rules: InputRules, argument: str) -> str:
    interval = "" if rules.support == "real" else " in [0, 1]"
    return f"`{argument}` must be floating point{interval}"


def scaling_message(
    got: str, rules: InputRules, argument: str, dataset: bool = False
) -> str:
    """The error message on integer images; it shows how to scale them."""
    if dataset:
        scale = "`dataset.map(lambda x: tf.cast(x, tf.float32) / 255)`"
    else:
        scale = f"`{argument} / 255`"
    return (
        f"{_number_rule(rules, argument)}; got {got}: scale with {scale}, or "
        "only cast if the values are 0 and 1 already."
    )


def check_values(
    x: np.ndarray,
    rules: InputRules,
    argument: str = "x",
    batch: int | None = None,
    look_for_non_binary: bool = False,
) -> Found:
    """Checks every value of an array, in one pass.

    Args:
      x: floating point images, `[N, ...]`.
      rules: what the model asks for.
      argument: what error messages call the images.
      batch: number of the batch that `x` is, for error messages.
      look_for_non_binary: whether to look for values other than 0 and 1.

    Raises:
      ValueError: if a value is not finite, or further than `TOLERANCE` outside
        [0, 1] although the support is not "real".
    """
    bounded = rules.support != "real"
    row_bytes = max(1, x.itemsize * math.prod(x.shape[1:]))
    rows = max(1, _CHUNK_BYTES // row_bytes)
    non_binary = beyond = False
    for start in range(0, len(x), rows):
        chunk = x[start : start + rows]
        if chunk.size == 0:
            continue
        with np.errstate(invalid="ignore"):
            # A NaN makes both NaN.
            low, high = np.min(chunk), np.max(chunk)
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = chunk[~np.isfinite(chunk)][0]
            raise ValueError(
                _NOT_FINITE.format(
                    argument=argument,
                    dtype=rules.dtype,
                    value="NaN" if np.isnan(bad) else "inf",
                    example=start + _first(~np.isfinite(chunk)),
                    batch=_of_batch(batch),
                )
            )
        inside = low >= 0 and high <= 1
        beyond = beyond or (bounded and not inside)
        if bounded and not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
            bad = (chunk < -TOLERANCE) | (chunk > 1 + TOLERANCE)
            raise ValueError(
                _OUT_OF_RANGE.format(
                    argument=argument,
                    likelihood=rules.likelihood,
                    low=f"{np.nanmin(x):.9g}",
                    high=f"{np.nanmax(x):.9g}",
                    example=start + _first(bad),
                    batch=_of_batch(batch),
                )
            )
        if look_for_non_binary and not non_binary:
            if not inside:
                chunk = np.clip(chunk, 0, 1)
            non_binary = bool(np.any((chunk != 0) & (chunk != 1)))
    return Found(non_binary, beyond)


def _first(bad: np.ndarray) -> int:
    """Returns the first row that holds a True."""
    return int(np.argmax(bad.reshape([len(bad), -1]).any(axis=1)))


def _of_batch(batch: int | str | None) -> str:
    return "" if batch is None else f" of batch {batch}"


def check_tensor(
    x: tf.Tensor,
    event_shape: tuple[int, ...],
    rules: InputRules,
    argument: str = "x",
    batch: tf.Tensor | None = None,
) -> tf.Tensor:
    """Casts, checks and reshapes a batch of images in a data set's graph.

    Args:
      x: images of a dtype and a static shape that have been checked.
      event_shape: shape of an image that is returned.
      rules: what else the model asks for.
      argument: what error messages call the images.
      batch: number of the batch, for error messages; None if not known.

    Returns:
      Images `[B, *event_shape]` of `rules.dtype`, clipped to [0, 1] unless the
      support is "real". Their evaluation fails with
      an `InvalidArgumentError` around a marked message if a value is wrong.
    """
    if x.shape.rank is None or not x.shape[1:].is_fully_defined():
        x = _check_dynamic_shape(x, event_shape, argument)
    x = input_shapes.to_event_shape(x, event_shape, argument)
    x = tf.cast(x, rules.dtype)
    if rules.support == "real":
        right = tf.math.is_finite(x)
    else:
        # False for NaN, too.
        right = tf.logical_and(x >= -TOLERANCE, x <= 1 + TOLERANCE)
    checked = _require(
        tf.reduce_all(right),
        lambda: _value_message(x, right, rules, argument, batch),
        x,
    )
    if rules.support == "real":
        return checked
    return tf.clip_by_value(checked, 0, 1)


def _require(
    condition: tf.Tensor, message: Callable[[], tf.Tensor], x: tf.Tensor
) -> tf.Tensor:
    """Returns `x`, or fails with a message that is made only then."""

    def fail() -> tf.Tensor:
        assertion = tf.debugging.Assert(
            False, [tf.strings.join([_BEGIN, message(), _END])]
        )
        with tf.control_dependencies([assertion]):
            return tf.identity(x)

    return tf.cond(condition, lambda: tf.identity(x), fail)


def _value_message(
    x: tf.Tensor,
    right: tf.Tensor,
    rules: InputRules,
    argument: str,
    batch: tf.Tensor | None,
) -> tf.Tensor:
    """Says in words of `check_values` what is wrong with a batch."""
    names = {
        "argument": argument,
        "dtype": rules.dtype,
        "likelihood": rules.likelihood,
        "low": "{}",
        "high": "{}",
        "example": "{}",
        "batch": _of_batch(None if batch is None else "{}"),
    }
    number = [] if batch is None else [batch]

    def first(wrong: tf.Tensor) -> tf.Tensor:
        """The first example with a wrong value."""
        wrong = tf.reduce_any(wrong, axis=list(range(1, x.shape.rank)))
        return tf.argmax(tf.cast(wrong, tf.int32))

    finite = tf.math.is_finite(x)
    example = first(~finite)
    # The first of its values that is not finite says which kind it is.
    is_nan = tf.boolean_mask(tf.math.is_nan(x), ~finite)
    is_nan = tf.reduce_any(is_nan[:1])

    def not_finite(value: str) -> tf.Tensor:
        text = _NOT_FINITE.format(value=value, **names)
        return tf.strings.format(text, [example, *number])

    extent = [
        tf.strings.as_string(value, precision=9, shortest=True)
        for value in (tf.reduce_min(x), tf.reduce_max(x))
    ]
    values = [*extent, tf.strings.as_string(first(~right))]
    values += [tf.strings.as_string(n) for n in number]
    pieces = _OUT_OF_RANGE.format(**names).split("{}")
    parts = [pieces[0]]
    for value, piece in zip(values, pieces[1:], strict=True):
        parts += [value, piece]
    out_of_range = tf.strings.join(parts)
    return tf.where(
        tf.reduce_all(finite),
        out_of_range,
        tf.where(is_nan, not_finite("NaN"), not_finite("inf")),
    )


def _check_dynamic_shape(
    x: tf.Tensor, event_shape: tuple[int, ...], argument: str
) -> tf.Tensor:
    """Checks a shape that is known only when the data set is read."""
    shape = tf.shape(x)[1:]
    right = tf.equal(tf.reduce_prod(shape), math.prod(event_shape))
    if len(event_shape) > 1:
        squeezed = tf.boolean_mask(shape, shape != 1)
        wanted = tf.constant([n for n in event_shape if n != 1], tf.int32)
        same = tf.cond(
            tf.equal(tf.size(squeezed), tf.size(wanted)),
            lambda: tf.reduce_all(squeezed == wanted),
            lambda: False,
        )
        right = right & (same | tf.equal(tf.size(shape), 1))

    def message() -> tf.Tensor:
        rule = input_shapes.shape_rule(event_shape, argument)
        sizes = tf.strings.reduce_join(
            tf.strings.as_string(shape), separator=", "
        )
        return tf.strings.join([f"{rule}; got (", sizes, ")."])

    return _require(right, message, x)


def count_non_binary(x: tf.Tensor) -> tf.Tensor:
    """Returns how many values are neither 0 nor 1, an int32 scalar."""
    return tf.math.count_nonzero((x != 0) & (x != 1), dtype=tf.int32)
