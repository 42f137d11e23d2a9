"""What a user passes to a model, turned into checked images.

Arrays are checked at once, on the host. Data sets are checked batch by batch
while they are read; `readable_errors` makes a plain `ValueError` of what
TensorFlow raises then. Distributed data sets cannot be mapped: only their
static shapes and dtypes are checked.
"""

import contextlib
import inspect
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.models.input_checks import (
    Found,
    InputRules,
    check_dtype,
    check_tensor,
    check_values,
    count_non_binary,
    mark,
    marked_message,
    scaling_message,
)
from tfp_flows.models.input_shapes import (
    check_event_shape,
    images_spec,
    infer_event_shape,
    select_images,
    split_element,
    to_event_shape,
)

__all__ = [
    "InputRules",
    "OnceWarnings",
    "check_array",
    "check_targets",
    "count_non_binary",
    "infer_event_shape",
    "prepare",
    "readable_errors",
    "select_images",
    "to_event_shape",
    "warn_labels",
    "warn_non_binary",
]


class OnceWarnings:
    """Warnings that are said once by each owner of an instance."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, topic: str, message: str) -> None:
        """Warns unless this instance has warned of the topic before."""
        if topic not in self._said:
            self._said.add(topic)
            warnings.warn(message, UserWarning, stacklevel=_user_level())


def _user_level() -> int:
    """Stack level, for its caller's `warn`, of code that is not a library's."""
    level, frame = 0, inspect.currentframe()
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in ("tfp_flows", "keras", "contextlib"):
            return level
        level, frame = level + 1, frame.f_back
    return level


def warn_labels(once: OnceWarnings) -> None:
    """Says once that labels are ignored."""
    once.warn("labels", "Labels are ignored: the model is fitted to x alone.")


def warn_non_binary(likelihood: str, once: OnceWarnings) -> None:
    """Says once what values between 0 and 1 mean to a binary likelihood."""
    once.warn(
        "non-binary",
        f"The likelihood {likelihood} got values other than 0 and 1: what it "
        "returns is then no log-likelihood of binary images. To draw binary "
        "images anew in each pass: `dataset.map(lambda x: tf.cast("
        "tf.random.uniform(tf.shape(x), dtype=x.dtype) < x, x.dtype))`.",
    )


def check_targets(y: Any, sample_weight: Any, once: OnceWarnings) -> None:
    """Ignores labels, with one warning, and refuses sample weights.

    Args:
      y: the argument of `fit` or `evaluate`.
      sample_weight: likewise.
      once: what the model has warned of.

    Raises:
      ValueError: if `sample_weight` is not None.
    """
    if sample_weight is not None:
        raise ValueError(
            "`sample_weight` must be None: sample weights are not supported; "
            f"got {type(sample_weight).__name__}."
        )
    if y is not None:
        warn_labels(once)


def check_array(
    x: Any,
    rules: InputRules,
    argument: str = "x",
    once: OnceWarnings | None = None,
) -> np.ndarray | tf.Tensor:
    """Checks an array of images, all its values included.

    Args:
      x: a NumPy array, a tensor, a list of numbers or what else NumPy can
        make an array of; `[N, ...]` with images of a shape that agrees with
        the model's.
      rules: what the model asks for.
      argument: what messages call `x`.
      once: what the model has warned of.

    Returns:
      Images `[N, *event_shape]` of `rules.dtype`: a tensor for a tensor, else
      a NumPy array; a view of `x` if it has the dtype already. Values that
      must be in [0, 1] and are beyond by `input_checks.TOLERANCE` at most, as
      rounding in float32 leaves them, are clipped, in a copy.

    Raises:
      ValueError: if anything is wrong with `x`; the message says what.
    """
    once = once or OnceWarnings()
    if isinstance(x, tf.Variable):
        x = tf.convert_to_tensor(x)
    images, found = _check_host(x, rules, argument, batch=None)
    if len(images) == 0:
        raise ValueError(
            f"`{argument}` must hold at least one image; got shape "
            f"{images.shape}."
        )
    if found.non_binary:
        warn_non_binary(rules.likelihood, once)
    if isinstance(x, tf.Tensor):
        # Spares the way back if the tensor is on an accelerator.
        x = tf.reshape(tf.cast(x, rules.dtype), images.shape)
        return tf.clip_by_value(x, 0, 1) if found.beyond else x
    return images


def _check_host(
    x: Any, rules: InputRules, argument: str, batch: int | None
) -> tuple[np.ndarray, Found]:
    """Returns checked images, and what was found in them."""
    x = _to_numpy(x, argument)
    binary_only = check_dtype(x.dtype, rules, argument)
    event_shape = rules.event_shape
    if event_shape is None:
        event_shape = infer_event_shape(x, argument)
    check_event_shape(x.shape, event_shape, argument)
    if binary_only and x.size and not (0 <= x.min() and x.max() <= 1):
        got = f"{x.dtype.name} with values from {x.min()} to {x.max()}"
        raise ValueError(scaling_message(got, rules, argument))
    with np.errstate(over="ignore"):  # inf is reported below
        x = x.astype(rules.dtype, copy=False)
    x = x.reshape([len(x), *event_shape])
    # Batches of data sets are looked at on the device, like all data sets'.
    look = rules.support == "binary" and batch is None
    found = check_values(x, rules, argument, batch, look)
    return np.clip(x, 0, 1) if found.beyond else x, found


def _to_numpy(x: Any, argument: str) -> np.ndarray:
    """Returns `x` as an array, without a copy where there is a way."""
    if isinstance(x, tf.Tensor) and tf.is_symbolic_tensor(x):
        raise ValueError(
            f"`{argument}` must have values; got a symbolic tensor: call this "
            "outside of `tf.function`."
        )
    if isinstance(x, list) or hasattr(x, "__array__"):
        try:
            return np.asarray(x)
        except (TypeError, ValueError):
            raise ValueError(
                f"`{argument}` must be one array of images; got "
                f"{type(x).__name__} that NumPy can make no array of."
            ) from None
    raise ValueError(
        f"`{argument}` must be an array, a tensor, a list of numbers, a "
        "tf.data.Dataset, a keras.utils.PyDataset or a generator; got "
        f"{type(x).__name__}."
    )


def prepare(
    data: Any,
    rules: InputRules,
    argument: str = "x",
    once: OnceWarnings | None = None,
    number_batches: bool = True,
) -> Any:
    """Turns what `fit(x=...)` takes into the same that yields checked images.

    Args:
      data: an array, as `check_array` takes it; a `tf.data.Dataset`, a
        `keras.utils.PyDataset` or a generator, of batches `x`, `(x,)`, `(x,
        y)` or dicts with the key "image" or with one entry; a tuple `(x,)` or
        `(x, y)` or a dict of arrays; or a distributed data set.
      rules: what the model asks for.
      argument: what messages call the data.
      once: what the model has warned of.
      number_batches: whether error messages name a `tf.data.Dataset`'s batch.
        Counting keeps TensorFlow from giving each worker files of its own, so
        say False under a strategy with several workers.

    Returns:
      For arrays what `check_array` returns. For a `tf.data.Dataset` and for a
      generator, a `tf.data.Dataset` of images `[B, *event_shape]`; for a
      `keras.utils.PyDataset`, another one, of `(images,)`. A distributed data
      set is returned as it is: neither its structure nor its values change.

    Raises:
      ValueError: if anything is wrong that can be seen without reading data
        sets. What is wrong in a batch is raised when it is read.
    """
    once = once or OnceWarnings()
    if isinstance(data, tf.data.Dataset | tf.distribute.DistributedDataset):
        return _prepare_dataset(data, rules, argument, once, number_batches)
    if isinstance(data, keras.utils.PyDataset):
        if data.num_batches == 0:
            raise ValueError(_empty(argument))
        return _CheckedPyDataset(data, rules, argument, once)
    if inspect.isgenerator(data):
        return _prepare_generator(data, rules, argument, once)
    images, ignored = split_element(data, argument)
    if ignored:
        warn_labels(once)
    return check_array(images, rules, argument, once)


def _empty(argument: str) -> str:
    return f"`{argument}` must hold at least one batch; got none."


def _prepare_dataset(
    dataset: Any,
    rules: InputRules,
    argument: str,
    once: OnceWarnings,
    number_batches: bool,
) -> Any:
    spec, ignored = images_spec(dataset, argument)
    check_dtype(spec.dtype, rules, argument, dataset=True)
    event_shape = rules.event_shape
    if event_shape is None:
        event_shape = infer_event_shape(dataset, argument)
    check_event_shape(
        None if spec.shape.rank is None else tuple(spec.shape),
        event_shape,
        argument,
        batch_fix="call `.batch(batch_size)` on the data set",
    )
    if ignored:
        warn_labels(once)
    if not isinstance(dataset, tf.data.Dataset):
        return dataset
    if dataset.cardinality() == 0:
        raise ValueError(_empty(argument))
    policy = dataset.options().experimental_distribute.auto_shard_policy
    if number_batches and policy != tf.data.experimental.AutoShardPolicy.FILE:

        @tf.autograph.experimental.do_not_convert
        def count(batch: tf.Tensor, element: Any) -> tuple[tf.Tensor, Any]:
            images = select_images(element, argument)
            return batch + 1, check_tensor(
                images, event_shape, rules, argument, batch
            )

        checked = dataset.scan(tf.zeros([], tf.int64), count)
    else:
        is_tuple = isinstance(dataset.element_spec, tuple)

        @tf.autograph.experimental.do_not_convert
        def check(*parts: Any) -> tf.Tensor:
            element = parts if is_tuple else parts[0]
            images = select_images(element, argument)
            return check_tensor(images, event_shape, rules, argument)

        checked = dataset.map(check)
    # The checks run beside the training step.
    return checked.prefetch(tf.data.AUTOTUNE)


def _check_batch(
    element: Any,
    rules: InputRules,
    argument: str,
    once: OnceWarnings,
    batch: int,
) -> np.ndarray:
    """Checks a batch that Python code made; errors carry marked messages."""
    try:
        element = tuple(element) if isinstance(element, list) else element
        images, ignored = split_element(element, argument)
        if ignored:
            warn_labels(once)
        return _check_host(images, rules, argument, batch)[0]
    except ValueError as error:
        raise ValueError(mark(str(error))) from None


class _CheckedPyDataset(keras.utils.PyDataset):
    """A `PyDataset` that yields the checked images of another one."""

    def __init__(
        self,
        dataset: keras.utils.PyDataset,
        rules: InputRules,
        argument: str,
        once: OnceWarnings,
    ) -> None:
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self._dataset = dataset
        self._rules = rules
        self._argument = argument
        self._once = once

    @property
    def num_batches(self) -> int | None:
        return self._dataset.num_batches

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        element = self._dataset[index]
        return (
            _check_batch(
                element, self._rules, self._argument, self._once, index
            ),
        )

    def on_epoch_begin(self) -> None:
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._dataset.on_epoch_end()


def _prepare_generator(
    generator: Iterator[Any],
    rules: InputRules,
    argument: str,
    once: OnceWarnings,
) -> tf.data.Dataset:
    """Makes a data set of a generator, of which it reads one batch."""
    with readable_errors():
        try:
            first = next(generator)
        except StopIteration:
            raise ValueError(_empty(argument)) from None
        first = _check_batch(first, rules, argument, once, 0)
    event_shape = first.shape[1:]
    rules = rules._replace(event_shape=event_shape)
    # Continues where an iteration before this one has stopped.
    batches = itertools.chain(
        [first],
        (
            _check_batch(element, rules, argument, once, i)
            for i, element in enumerate(generator, start=1)
        ),
    )
    return tf.data.Dataset.from_generator(
        lambda: batches,
        output_signature=tf.TensorSpec([None, *event_shape], rules.dtype),
    )


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Raises what the checks found in a batch as one plain `ValueError`.

    For use around whatever reads the data sets that `prepare` returns. All
    other errors pass.
    """
    try:
        yield
    except (tf.errors.OpError, ValueError) as error:
        message = marked_message(str(error))
        if message is None:
            raise
        raise ValueError(message) from None
