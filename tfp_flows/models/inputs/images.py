"""Which images a model takes: where they are in data, shapes and dtypes."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.types import TensorLike

Pick = Callable[..., Any]


class Region(NamedTuple):
    """The part of R^D in which examples lie."""

    words: str  # for messages
    contains: Callable[[tf.Tensor], tf.Tensor]  # of `[N, ...]`, bool `[N]`


class InputRules(NamedTuple):
    """What a model asks of its images, or of other examples."""

    event_shape: tuple[int, ...]  # (): the first data decide it
    support: str  # "binary", "unit_interval" or "real"
    dtype: str  # what the model computes with
    likelihood: str  # its name, for messages
    argument: str = "x"  # what messages call the data
    once: Any = None  # the model's `OnceWarnings`
    noun: str = "image"  # what messages call an example
    region: Region | None = None  # a part of "real"
    integers: bool = False  # whether dtypes of integers are taken
    scalars: bool = False  # whether `[N]` are N examples of one number
    hint: str = ""  # what else to do about integers

    @property
    def number(self) -> str:
        """The rule for dtypes: the first half of an error message."""
        interval = "" if self.support == "real" else " in [0, 1]"
        return f"`{self.argument}` must be floating point{interval}"

    @property
    def shape(self) -> str:
        """That for shapes."""
        return _shape_rule(self.event_shape, self.argument, self.noun)


def split_element(element: Any, argument: str = "x") -> tuple[Any, bool]:
    """The images in an element or its spec, and whether more is ignored.

    An element is `x`, `(x,)` or `(x, y)`, where `x` may be a dict with the key
    "image" or with one entry. Others raise a ValueError.
    """
    element, ignored = without_labels(element, argument)
    if isinstance(element, Mapping):
        if "image" not in element and len(element) != 1:
            keys = ", ".join(repr(key) for key in element) or "no keys"
            raise ValueError(
                f"`{argument}` must be images, or a dict with the key 'image' "
                f"or with one entry; got a dict with {keys}."
            )
        ignored = ignored or len(element) > 1
        element = element.get("image", next(iter(element.values())))
    if isinstance(element, tuple | Mapping):
        raise ValueError(
            f"`{argument}` must hold one array of images; got a nested "
            f"{type(element).__name__}."
        )
    return element, ignored


def without_labels(element: Any, argument: str) -> tuple[Any, bool]:
    """The first part of a tuple, and whether there are labels behind it."""
    labels = None
    if isinstance(element, tuple):
        rule = f"`{argument}` must hold x, (x,) or (x, y); got"
        if not 1 <= len(element) <= 3:
            raise ValueError(f"{rule} a tuple of {len(element)}.")
        element, labels, weights = (*element, None, None)[:3]
        if not is_absent(weights):
            raise ValueError(
                f"{rule} (x, y, sample_weight): sample weights are not "
                "supported."
            )
    return element, not is_absent(labels)


def is_absent(part: Any) -> bool:
    """Whether a part of an element is None, or the spec of None."""
    return part is None or type(part).__name__ == "NoneTensorSpec"


def select_images(element: Any, argument: str = "x") -> Any:
    """The images alone of `split_element`."""
    return split_element(element, argument)[0]


def images_spec(dataset: Any, argument: str) -> tuple[Any, bool]:
    """The spec of a data set's images, and whether anything is ignored."""
    spec, ignored = split_element(dataset.element_spec, argument)
    return dense_spec(spec, dataset, argument), ignored


def dense_spec(spec: Any, dataset: Any, argument: str) -> tf.TensorSpec:
    """The spec of a tensor in a data set's elements; raises if it is none."""
    if not isinstance(spec, tf.TensorSpec):
        # The spec of a value on several replicas has one for each of them.
        parts = tf.nest.flatten(spec, expand_composites=True)
        per_replica = isinstance(dataset, tf.distribute.DistributedDataset)
        if not (per_replica and isinstance(parts[0], tf.TensorSpec)):
            raise ValueError(
                f"`{argument}` must hold dense tensors; got {spec}."
            )
        spec = parts[0]
    return spec


def _shape(shape: tf.TensorShape) -> tuple[int | None, ...] | None:
    return None if shape.rank is None else tuple(shape)


def is_dataset(data: Any) -> bool:
    """Whether elements come one by one, in a graph."""
    return isinstance(data, tf.data.Dataset | tf.distribute.DistributedDataset)


def _batch_fix(of_dataset: bool, argument: str, noun: str = "image") -> str:
    """What to do about a missing batch axis."""
    if of_dataset:
        return "call `.batch(batch_size)` on the data set"
    return f"for one {noun} pass `{argument}[None]`"


def infer_event_shape(
    data: Any, argument: str = "x", noun: str = "image"
) -> tuple[int, ...]:
    """The shape of one image of an array or a data set; raises if not known.

    Of a `keras.utils.PyDataset` the first batch is read.
    """
    shape: Any
    if is_dataset(data):
        shape = _shape(images_spec(data, argument)[0].shape)
    elif inspect.isgenerator(data):
        raise ValueError(
            f"`{argument}` must have a known shape; got a generator, whose "
            "shape is known once it has been prepared."
        )
    else:
        if isinstance(data, keras.utils.PyDataset):
            data = data[0]
            data = tuple(data) if isinstance(data, list) else data
        images = select_images(data, argument)
        shape = tuple(getattr(images, "shape", None) or np.shape(images))
    return _event_shape(shape, argument, is_dataset(data), noun)


def _event_shape(
    shape: Any, argument: str, of_dataset: bool, noun: str = "image"
) -> tuple[int, ...]:
    """`shape` without the batch axis; raises unless all of it is known."""
    if shape is not None and len(shape) < 2:
        article = "an" if noun[0] in "aeiou" else "a"
        of_labels = noun == "image" and not of_dataset
        raise ValueError(
            f"`{argument}` must have a batch axis before those of {article} "
            f"{noun}; got shape {shape}: "
            f"{_batch_fix(of_dataset, argument, noun)}"
            f"{', and no labels for images' if of_labels else ''}."
        )
    if shape is None or None in shape[1:]:
        raise ValueError(
            f"`{argument}` must hold {noun}s of a known shape; got shape "
            f"{shape}: give the sizes, for example with "
            "`dataset.map(lambda x: tf.ensure_shape(x, [None, 28, 28]))`."
        )
    return shape[1:]


def event_shapes_agree(
    shape: Sequence[int | None], event_shape: Sequence[int]
) -> bool:
    """Whether images of `shape`, as far as known, may be reshaped.

    Equally many elements, and one is flat or they agree but for axes of size 1.
    """
    sizes = [n for n in shape if n is not None]
    if len(sizes) < len(shape):
        return True
    if math.prod(sizes) != math.prod(event_shape):
        return False
    if len(sizes) == 1 or len(event_shape) == 1:
        return True
    return [n for n in sizes if n != 1] == [n for n in event_shape if n != 1]


def _shape_rule(
    event_shape: Sequence[int], argument: str, noun: str = "image"
) -> str:
    """Says which shapes are taken: the first half of an error message."""
    event_shape = tuple(event_shape)
    size = math.prod(event_shape)
    if len(event_shape) == 1:
        also = f"or of any shape with {size} elements"
    else:
        squeezed = tuple(n for n in event_shape if n != 1)
        other = (*event_shape, 1) if squeezed == event_shape else squeezed
        also = f"{other} or ({size},)" if len(other) > 1 else f"or ({size},)"
    return f"`{argument}` must hold {noun}s of shape {event_shape}, {also}"


def check_shape(
    shape: tuple[int | None, ...] | None,
    event_shape: Sequence[int],
    argument: str,
    of_dataset: bool = False,
    noun: str = "image",
) -> None:
    """Refuses a static shape that, as far as known, cannot be reshaped."""
    if shape is None or (shape and event_shapes_agree(shape[1:], event_shape)):
        return
    if None not in shape and event_shapes_agree(shape, event_shape):
        raise ValueError(
            f"`{argument}` must have a batch axis; got a single {noun} of "
            f"shape {shape}: {_batch_fix(of_dataset, argument, noun)}."
        )
    rule = _shape_rule(event_shape, argument, noun)
    if not shape:
        raise ValueError(f"{rule} after a batch axis; got shape {shape}.")
    raise ValueError(f"{rule}; got {shape[1:]}.")


def to_event_shape(
    x: TensorLike, event_shape: Sequence[int], argument: str = "x"
) -> tf.Tensor:
    """A batch of images, reshaped as a model takes them."""
    x = tf.convert_to_tensor(x)
    shape = _shape(x.shape)
    check_shape(shape, event_shape, argument)
    if shape is not None and shape[1:] == tuple(event_shape):
        return x
    return tf.reshape(x, [ps.shape(x)[0], *event_shape])


def conform(
    shape: Any, dtype: Any, rules: InputRules, of_dataset: bool
) -> tuple[InputRules, bool]:
    """The rules with an event shape, and whether only 0 and 1 are right."""
    try:
        kind = tf.as_dtype(dtype)
    except TypeError:
        kind = tf.string
    is_integer = not (kind.is_floating or kind.is_bool)
    if is_integer and not kind.is_integer:
        name = getattr(dtype, "name", dtype)
        raise ValueError(f"{rules.number}; got dtype {name}.")
    binary_only = is_integer and rules.support != "real"
    if (
        is_integer
        and not rules.integers
        and (kind.size == 1 or (of_dataset and binary_only))
    ):
        refuse_integers(kind.name, rules, of_dataset)
    shape = _shape(tf.TensorShape(shape))
    if not rules.event_shape:
        one_number = rules.scalars and shape is not None and len(shape) == 1
        if one_number and of_dataset and None not in shape:
            raise ValueError(
                f"`{rules.argument}` must have a batch axis; got elements of "
                f"shape {shape}: call `.batch(batch_size)` on the data set. If "
                "they are batches of single numbers, give these an axis, "
                "`x[:, None]`."
            )
        rules = rules._replace(
            event_shape=(1,)
            if one_number
            else _event_shape(shape, rules.argument, of_dataset, rules.noun)
        )
    check_shape(
        shape, rules.event_shape, rules.argument, of_dataset, rules.noun
    )
    return rules, binary_only


def look(data: Any, rules: InputRules) -> tuple[InputRules, Pick]:
    """What data say of themselves, before anything is read.

    Returns:
      The rules, with the event shape of a `tf.data` data set; and `pick`, which
      takes the images out of its elements: `select_images`. Of all others the
      rules as they are, and `take`.
    """
    if not is_dataset(data):
        return rules, functools.partial(take, rules=rules)
    spec, ignored = images_spec(data, rules.argument)
    rules, _ = conform(spec.shape, spec.dtype, rules, of_dataset=True)
    if ignored:
        rules.once.labels()
    return rules, functools.partial(select_images, argument=rules.argument)


def refuse_integers(got: str, rules: InputRules, of_dataset: bool) -> None:
    """Raises the error on integer images, which shows how to scale them."""
    scale = f"`{rules.argument} / 255`"
    if of_dataset:
        scale = "`dataset.map(lambda x: tf.cast(x, tf.float32) / 255)`"
    raise ValueError(
        f"{rules.number}; got {got}: scale with {scale}, or only cast if the "
        f"values are 0 and 1 already{rules.hint}."
    )


def take(element: Any, rules: InputRules) -> tuple[Any, np.ndarray, InputRules]:
    """The images of an element, and as an array; the rules with their shape."""
    x, ignored = split_element(element, rules.argument)
    if ignored:
        rules.once.labels()
    if isinstance(x, tf.Tensor) and tf.is_symbolic_tensor(x):
        raise ValueError(
            f"`{rules.argument}` must have values; got a symbolic tensor: call "
            "this outside of `tf.function`."
        )
    if not (isinstance(x, list) or hasattr(x, "__array__")):
        raise ValueError(
            f"`{rules.argument}` must be an array, a tensor, a list of "
            "numbers, a tf.data.Dataset, a keras.utils.PyDataset or a "
            f"generator; got {type(x).__name__}."
        )
    try:
        array = np.asarray(x)  # without a copy where there is a way
    except (TypeError, ValueError):
        raise ValueError(
            f"`{rules.argument}` must be one array of {rules.noun}s; got "
            f"{type(x).__name__} that NumPy can make no array of."
        ) from None
    given = tf.convert_to_tensor(x) if isinstance(x, tf.Variable) else x
    rules, binary_only = conform(
        array.shape, array.dtype, rules, of_dataset=False
    )
    if binary_only and array.size and not _is_binary(array):
        values = f"values from {array.min()} to {array.max()}"
        refuse_integers(f"{array.dtype.name} with {values}", rules, False)
    return given, array, rules


def _is_binary(integers: np.ndarray) -> bool:
    return bool(0 <= integers.min() and integers.max() <= 1)
