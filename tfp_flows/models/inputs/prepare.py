"""Arrays and data sets of examples, checked value by value.

Arrays are checked at once, on the host; data sets batch by batch while they
are read, not in the training step, where XLA drops assertions. Pixels that are
beyond [0, 1] by what rounding in float32 makes of a bound are clipped: scaling
by 1 / 255, a change of contrast or a resized image easily gives 1.0000001.
"""

import contextlib
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.models.inputs.images import InputRules, Pick

_TOLERANCE = 8 * 2.0**-23  # 8 float32 spacings of 1, about 1e-6
_LOW, _HIGH = -_TOLERANCE, 1 + _TOLERANCE
# A part of an array that fits a core's cache together with its masks.
_CHUNK_BYTES = 2**19
_EMPTY = "`{}` must hold at least one batch; got none."
# Around a message that TensorFlow wraps into an error of its own.
_BEGIN, _END = "<input error>", "</input error>"


class Check(Protocol):
    """How the elements of data are checked: images, or what else a model takes.

    Errors are ValueErrors; those of `in_graph` carry marked messages.
    """

    @property
    def argument(self) -> str:
        """What messages call the data."""

    def whole(self, data: Any) -> Any:
        """Checked arrays of an array, or of a tuple or dict of arrays."""

    def batch(self, element: Any, number: int) -> Any:
        """The same of one batch, an element that Python code made."""

    def in_graph(self, element: Any, number: tf.Tensor | None) -> Any:
        """Checked tensors of an element of a `tf.data.Dataset`."""

    def after(self, first: Any) -> tuple["Check", Any]:
        """For more batches like the first checked one; and their spec."""


class _ImagesCheck(NamedTuple):
    """One array of images; see `Check`."""

    rules: InputRules
    pick: Pick

    @property
    def argument(self) -> str:
        return self.rules.argument

    def whole(self, data: Any) -> np.ndarray | tf.Tensor:
        given, x, rules = self.pick(data)
        x, beyond = _check_array(x, rules)
        if len(x) == 0:
            raise ValueError(
                f"`{rules.argument}` must hold at least one {rules.noun}; got "
                f"shape {x.shape}."
            )
        if isinstance(given, tf.Tensor):
            # Spares the way back if the tensor is on an accelerator.
            given = tf.reshape(tf.cast(given, rules.dtype), x.shape)
            return tf.clip_by_value(given, 0, 1) if beyond else given
        return x

    def batch(self, element: Any, number: int) -> np.ndarray:
        _, x, rules = self.pick(element)
        return _check_array(x, rules, number)[0]

    def in_graph(self, element: Any, number: tf.Tensor | None) -> tf.Tensor:
        return _check_tensor(self.pick(element), self.rules, number)

    def after(self, first: np.ndarray) -> tuple["_ImagesCheck", tf.TensorSpec]:
        shape = first.shape[1:]
        rules = self.rules._replace(event_shape=shape)
        pick = functools.partial(self.pick, rules=rules)
        return _ImagesCheck(rules, pick), tf.TensorSpec(
            [None, *shape], rules.dtype
        )


def prepare(
    data: Any, rules: InputRules, pick: Pick, number_batches: bool = True
) -> Any:
    """Turns what `fit(x=...)` takes into the same that yields checked images.

    Args:
      data: an array, or a tuple `(x,)` or `(x, y)` or a dict of arrays; a
        `tf.data.Dataset`, `keras.utils.PyDataset` or generator of such batches.
      rules: what the model asks for.
      pick: what takes the images out, as `images.look` says.
      number_batches: see `prepare_checked`.

    Returns:
      Images `[N, *event_shape]`: of a tensor a tensor, else an array, a view if
      nothing had to change. Of a data set another one: a `PyDataset` of
      `(images,)`, else a `tf.data.Dataset` of images. A distributed one cannot
      be mapped: it is returned as it is, its static shape and dtype checked.
    """
    return prepare_checked(data, images_check(rules, pick), number_batches)


def images_check(rules: InputRules, pick: Pick) -> _ImagesCheck:
    """The check of one array of images; see `prepare`."""
    return _ImagesCheck(rules, pick)


def prepare_checked(
    data: Any, check: Check, number_batches: bool = True
) -> Any:
    """Turns what `fit(x=...)` takes into the same of what `check` returns.

    Args:
      data: arrays as `check.whole` takes them; a `tf.data.Dataset`,
        `keras.utils.PyDataset` or generator of batches of them.
      check: what is done with an element.
      number_batches: whether error messages name a `tf.data.Dataset`'s batch.
        Counting keeps TensorFlow from giving each worker files of its own.

    Returns:
      As `prepare`.
    """
    if isinstance(data, tf.data.Dataset | tf.distribute.DistributedDataset):
        return _prepare_dataset(data, check, number_batches)
    if isinstance(data, keras.utils.PyDataset):
        if data.num_batches == 0:
            raise ValueError(_EMPTY.format(check.argument))
        return _CheckedPyDataset(data, check)
    if inspect.isgenerator(data):
        return _prepare_generator(data, check)
    return check.whole(data)


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Raises what was found in a batch while it was read as a `ValueError`."""
    try:
        yield
    except (tf.errors.OpError, ValueError) as error:
        _, begin, rest = str(error).partition(_BEGIN)
        message, end, _ = rest.partition(_END)
        if not (begin and end):
            raise
        raise ValueError(message) from None


def _check_array(
    x: np.ndarray, rules: InputRules, batch: Any = None
) -> tuple[np.ndarray, bool]:
    """Images `[N, *event_shape]`, and whether some had to be clipped."""
    with np.errstate(over="ignore"):  # inf is reported below
        x = x.astype(rules.dtype, copy=False)
    x = x.reshape([len(x), *rules.event_shape])
    is_real = rules.support == "real"
    # The device counts those of data sets.
    look_for_non_binary = rules.support == "binary" and batch is None
    rows = max(1, _CHUNK_BYTES // max(1, x.itemsize * math.prod(x.shape[1:])))
    non_binary = beyond = False
    for start in range(0, len(x) if x.size else 0, rows):
        chunk = x[start : start + rows]
        with np.errstate(invalid="ignore"):  # a NaN makes both NaN
            low, high = np.min(chunk), np.max(chunk)
        is_finite = np.isfinite(low) and np.isfinite(high)
        if not (is_finite and (is_real or (low >= _LOW and high <= _HIGH))):
            raise ValueError(_array_message(x, rules, batch))
        if not (is_real or (low >= 0 and high <= 1)):
            beyond, chunk = True, np.clip(chunk, 0, 1)
        if look_for_non_binary and not non_binary:
            non_binary = bool(np.any((chunk != 0) & (chunk != 1)))
        if rules.region is not None:
            inside = np.asarray(rules.region.contains(tf.constant(chunk)))
            if not inside.all():
                row = start + int(np.argmin(inside))
                outside = _outside_template(rules, batch is not None)
                value = " ".join(f"{v:.9g}" for v in np.ravel(x[row])[:8])
                raise ValueError(outside.format(value, row, batch))
    if non_binary:
        rules.once.non_binary(rules.likelihood)
    return np.clip(x, 0, 1) if beyond else x, beyond


def _templates(rules: InputRules, is_numbered: bool) -> tuple[str, str]:
    """The messages on values that are not finite, and out of range."""
    batch = " of batch {}" if is_numbered else ""
    where = f" in example {{}}{batch} (counted from 0)."
    return (
        f"`{rules.argument}` must be finite in {rules.dtype}; got {{}}{where}",
        f"`{rules.argument}` must be in [0, 1] for the likelihood "
        f"{rules.likelihood}; got values from {{}} to {{}}, first{where} Scale "
        "pixels of 0 to 255 with `x / 255`.",
    )


def _outside_template(rules: InputRules, is_numbered: bool) -> str:
    """The message on a value outside of the model's support."""
    assert rules.region is not None  # some value is outside of it
    batch = " of batch {}" if is_numbered else ""
    return (
        f"`{rules.argument}` must lie in the support of the model, "
        f"{rules.region.words}; got [{{}}] in example {{}}{batch} (counted "
        "from 0)."
    )


def _array_message(x: np.ndarray, rules: InputRules, batch: Any) -> str:
    """Says what is wrong with images, and with which one first."""
    not_finite, out_of_range = _templates(rules, batch is not None)
    finite = np.isfinite(x)
    right = (x >= _LOW) & (x <= _HIGH) if finite.all() else finite
    row = int(np.argmin(right.reshape([len(x), -1]).all(axis=1)))
    if finite.all():
        extent = f"{x.min():.9g}", f"{x.max():.9g}"
        return out_of_range.format(*extent, row, batch)
    # The first of its values that is not finite says which kind it is.
    kind = "NaN" if np.isnan(x[~finite][0]) else "inf"
    return not_finite.format(kind, row, batch)


def _check_batch(element: Any, check: Check, number: int) -> Any:
    """Checks a batch that Python code made; errors carry marked messages."""
    try:
        element = tuple(element) if isinstance(element, list) else element
        return check.batch(element, number)
    except ValueError as error:
        raise ValueError(f"{_BEGIN}{error}{_END}") from None


class _CheckedPyDataset(keras.utils.PyDataset):
    """A `PyDataset` that yields what is checked of another one."""

    def __init__(self, dataset: keras.utils.PyDataset, check: Check) -> None:
        super().__init__(
            dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size
        )
        self._dataset, self._check = dataset, check
        self.on_epoch_begin = dataset.on_epoch_begin
        self.on_epoch_end = dataset.on_epoch_end

    @property
    def num_batches(self) -> int | None:
        return self._dataset.num_batches

    def __len__(self) -> int:
        if self._dataset.num_batches is None:
            raise TypeError("an endless data set has no length")
        return self._dataset.num_batches

    def __getitem__(self, index: int) -> tuple[Any]:
        return (_check_batch(self._dataset[index], self._check, index),)


def _prepare_generator(batches: Iterator, check: Check) -> tf.data.Dataset:
    """Makes a data set of a generator, of which it reads one batch."""
    with readable_errors():
        try:
            first = next(batches)
        except StopIteration:
            raise ValueError(_EMPTY.format(check.argument)) from None
        first = _check_batch(first, check, 0)
    check, signature = check.after(first)
    # Continues where an iteration before this one has stopped.
    rest = enumerate(batches, start=1)
    checked = itertools.chain(
        [first], (_check_batch(element, check, i) for i, element in rest)
    )
    return tf.data.Dataset.from_generator(
        lambda: checked, output_signature=signature
    )


def _prepare_dataset(dataset: Any, check: Check, numbered: bool) -> Any:
    if not isinstance(dataset, tf.data.Dataset):
        return dataset
    if dataset.cardinality() == 0:
        raise ValueError(_EMPTY.format(check.argument))
    policy = dataset.options().experimental_distribute.auto_shard_policy
    is_tuple = isinstance(dataset.element_spec, tuple)

    @tf.autograph.experimental.do_not_convert
    def count(batch: tf.Tensor, element: Any) -> tuple[tf.Tensor, Any]:
        return batch + 1, check.in_graph(element, batch)

    @tf.autograph.experimental.do_not_convert
    def plain(*parts: Any) -> Any:
        return check.in_graph(parts if is_tuple else parts[0], None)

    if numbered and policy != tf.data.experimental.AutoShardPolicy.FILE:
        checked = dataset.scan(tf.zeros([], tf.int64), count)
    else:
        checked = dataset.map(plain)
    # The checks run beside the training step.
    return checked.prefetch(tf.data.AUTOTUNE)


def _check_tensor(
    x: tf.Tensor, rules: InputRules, batch: tf.Tensor | None
) -> tf.Tensor:
    """Checks a batch in a data set's graph; errors carry marked messages."""
    if x.shape.rank is None or not x.shape[1:].is_fully_defined():
        x = _check_dynamic_shape(x, rules)
    x = tf.reshape(x, [tf.shape(x)[0], *rules.event_shape])
    x = tf.cast(x, rules.dtype)
    right = tf.reduce_all(_is_right(x, rules))
    x = require(right, lambda: _tensor_message(x, rules, batch), x)
    if rules.region is not None:
        inside = rules.region.contains(x)
        x = require(
            tf.reduce_all(inside),
            lambda: _outside_message(x, inside, rules, batch),
            x,
        )
    return x if rules.support == "real" else tf.clip_by_value(x, 0, 1)


def _is_right(x: tf.Tensor, rules: InputRules) -> tf.Tensor:
    if rules.support == "real":
        return tf.math.is_finite(x)
    return tf.logical_and(x >= _LOW, x <= _HIGH)  # False for NaN, too


def require(
    condition: tf.Tensor, message: Callable[[], tf.Tensor], x: tf.Tensor
) -> tf.Tensor:
    """Returns `x`, or fails with a message that is made only then."""

    def fail() -> tf.Tensor:
        marked = tf.strings.join([_BEGIN, message(), _END])
        with tf.control_dependencies([tf.debugging.Assert(False, [marked])]):
            return tf.identity(x)

    return tf.cond(condition, lambda: tf.identity(x), fail)


def _tensor_message(x: tf.Tensor, rules: InputRules, batch: Any) -> tf.Tensor:
    """What `_array_message` says, in a graph."""
    not_finite, out_of_range = _templates(rules, batch is not None)
    number = [] if batch is None else [batch]
    finite = tf.math.is_finite(x)

    def first(right: tf.Tensor) -> tf.Tensor:
        wrong = tf.reduce_any(~right, axis=list(range(1, x.shape.rank)))
        return tf.argmax(tf.cast(wrong, tf.int32))

    def numbered(template: str, *values: tf.Tensor) -> tf.Tensor:
        return filled(template, *values, *number)

    is_nan = tf.boolean_mask(tf.math.is_nan(x), ~finite)[:1]
    kind = tf.where(tf.reduce_any(is_nan), "NaN", "inf")
    extent = tf.reduce_min(x), tf.reduce_max(x)
    return tf.where(
        tf.reduce_all(finite),
        numbered(out_of_range, *extent, first(_is_right(x, rules))),
        numbered(not_finite, kind, first(finite)),
    )


def _outside_message(
    x: tf.Tensor, inside: tf.Tensor, rules: InputRules, batch: Any
) -> tf.Tensor:
    number = [] if batch is None else [batch]
    row = tf.argmin(tf.cast(inside, tf.int32))
    values = tf.strings.as_string(
        tf.reshape(x[row], [-1])[:8], precision=9, shortest=True
    )
    return filled(
        _outside_template(rules, batch is not None),
        tf.strings.reduce_join(values, separator=" "),
        row,
        *number,
    )


def filled(template: str, *values: tf.Tensor) -> tf.Tensor:
    """`template.format(*values)`, in a graph."""
    parts = template.split("{}")
    for i, value in enumerate(values):
        if value.dtype != tf.string:
            real = {"precision": 9, "shortest": True}
            real = real if value.dtype.is_floating else {}
            value = tf.strings.as_string(value, **real)
        parts.insert(2 * i + 1, value)
    return tf.strings.join(parts)


def _check_dynamic_shape(x: tf.Tensor, rules: InputRules) -> tf.Tensor:
    """Checks a shape that is known only when the data set is read."""
    shape, event_shape = tf.shape(x)[1:], rules.event_shape

    def listed(sizes: tf.Tensor) -> tf.Tensor:
        sizes = tf.strings.as_string(sizes)
        return tf.strings.reduce_join(sizes, separator=", ")

    right = tf.equal(tf.reduce_prod(shape), math.prod(event_shape))
    if len(event_shape) > 1:
        squeezed = listed(tf.boolean_mask(shape, shape != 1))
        same = squeezed == ", ".join(str(n) for n in event_shape if n != 1)
        right = right & (same | tf.equal(tf.size(shape), 1))
    return require(
        right,
        lambda: tf.strings.join([f"{rules.shape}; got (", listed(shape), ")."]),
        x,
    )
