"""Where the images are in what a user passes, and which shapes they may have.

Everything here is static: structures, specs and shapes, no values.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.types import TensorLike

__all__ = [
    "check_event_shape",
    "event_shapes_agree",
    "images_spec",
    "infer_event_shape",
    "select_images",
    "shape_rule",
    "split_element",
    "to_event_shape",
]

_ADD_BATCH_AXIS = "for one image pass `{argument}[None]`"
_BATCH_DATASET = "call `.batch(batch_size)` on the data set"


def split_element(element: Any, argument: str = "x") -> tuple[Any, bool]:
    """Finds the images in an element of a data set, or in its spec.

    Args:
      element: `x`, `(x,)`, `(x, y)`, where `x` may be a dict with the key
        "image" or with one entry.
      argument: what error messages call the data.

    Returns:
      The images, and whether anything beside them is ignored.

    Raises:
      ValueError: if there are sample weights, or if the images are not found.
    """
    labels = None
    if isinstance(element, tuple):
        if not 1 <= len(element) <= 3:
            raise ValueError(
                f"`{argument}` must hold x, (x,) or (x, y); got a tuple of "
                f"{len(element)}."
            )
        element, labels, weights = (*element, None, None)[:3]
        if not _is_absent(weights):
            raise ValueError(
                f"`{argument}` must hold x, (x,) or (x, y); got (x, y, "
                "sample_weight): sample weights are not supported."
            )
    ignored = not _is_absent(labels)
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


def select_images(element: Any, argument: str = "x") -> Any:
    """Returns the images alone of `split_element`."""
    return split_element(element, argument)[0]


def _is_absent(part: Any) -> bool:
    """Whether a part of an element is None, or the spec of None."""
    return part is None or type(part).__name__ == "NoneTensorSpec"


def images_spec(dataset: Any, argument: str = "x") -> tuple[Any, bool]:
    """Returns the spec of a data set's images, and if anything is ignored."""
    spec, ignored = split_element(dataset.element_spec, argument)
    if not isinstance(spec, tf.TensorSpec):
        # The spec of a value on several replicas has one for each of them.
        parts = tf.nest.flatten(spec, expand_composites=True)
        per_replica = isinstance(dataset, tf.distribute.DistributedDataset)
        if not (per_replica and isinstance(parts[0], tf.TensorSpec)):
            raise ValueError(
                f"`{argument}` must hold dense tensors; got {spec}."
            )
        spec = parts[0]
    return spec, ignored


def infer_event_shape(data: Any, argument: str = "x") -> tuple[int, ...]:
    """Returns the shape of one image of the data.

    Args:
      data: an array, a list of numbers, a `tf.data.Dataset`, a distributed
        data set or a `keras.utils.PyDataset` (its first batch is read), with
        elements as `split_element` takes them.
      argument: what error messages call the data.

    Returns:
      The static shape without the batch axis.

    Raises:
      ValueError: if there is no batch axis, or a size is not known.
    """
    fix = _ADD_BATCH_AXIS.format(argument=argument)
    if isinstance(data, tf.data.Dataset | tf.distribute.DistributedDataset):
        shape = images_spec(data, argument)[0].shape
        shape = None if shape.rank is None else tuple(shape)
        fix = _BATCH_DATASET
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
        shape = tuple(
            images.shape if hasattr(images, "shape") else np.shape(images)
        )
    if shape is not None and len(shape) < 2:
        raise ValueError(
            f"`{argument}` must have a batch axis before those of an image; "
            f"got shape {shape}: {fix}."
        )
    if shape is None or None in shape[1:]:
        raise ValueError(
            f"`{argument}` must hold images of a known shape; got shape "
            f"{shape}: give the sizes, for example with "
            "`dataset.map(lambda x: tf.ensure_shape(x, [None, 28, 28]))`."
        )
    return shape[1:]


def event_shapes_agree(
    shape: Sequence[int | None], event_shape: Sequence[int]
) -> bool:
    """Whether images of `shape` may be reshaped to `event_shape`.

    They may if they have equally many elements and either shape is flat, or
    both agree without their axes of size 1. A shape with unknown sizes agrees.
    """
    sizes = [n for n in shape if n is not None]
    if len(sizes) < len(shape):
        return True
    if math.prod(sizes) != math.prod(event_shape):
        return False
    if len(sizes) == 1 or len(event_shape) == 1:
        return True
    return [n for n in sizes if n != 1] == [n for n in event_shape if n != 1]


def shape_rule(event_shape: Sequence[int], argument: str = "x") -> str:
    """Says which shapes are taken: the first half of an error message."""
    event_shape = tuple(event_shape)
    size = math.prod(event_shape)
    if len(event_shape) == 1:
        also = f"or of any shape with {size} elements"
    else:
        squeezed = tuple(n for n in event_shape if n != 1)
        other = (*event_shape, 1) if squeezed == event_shape else squeezed
        also = f"{other} or ({size},)" if len(other) > 1 else f"or ({size},)"
    return f"`{argument}` must hold images of shape {event_shape}, {also}"


def check_event_shape(
    shape: Sequence[int | None] | None,
    event_shape: Sequence[int],
    argument: str = "x",
    batch_ndims: int = 1,
    batch_fix: str | None = None,
) -> None:
    """Checks a static shape, of which sizes or even the rank may be unknown.

    Args:
      shape: the whole shape, batch axes first; None if its rank is unknown.
      event_shape: the shape of an image as the model takes it.
      argument: what error messages call the data.
      batch_ndims: number of batch axes.
      batch_fix: what to do about a missing batch axis.

    Raises:
      ValueError: if images of that shape cannot be reshaped to `event_shape`.
    """
    if shape is None:
        return
    shape = tuple(shape)
    images = shape[batch_ndims:]
    if len(shape) >= batch_ndims and event_shapes_agree(images, event_shape):
        return
    known = None not in shape
    if batch_ndims and known and event_shapes_agree(shape, event_shape):
        fix = batch_fix or _ADD_BATCH_AXIS.format(argument=argument)
        raise ValueError(
            f"`{argument}` must have a batch axis; got a single image of shape "
            f"{shape}: {fix}."
        )
    rule = shape_rule(event_shape, argument)
    if len(shape) < batch_ndims:
        raise ValueError(f"{rule} after a batch axis; got shape {shape}.")
    raise ValueError(f"{rule}; got {images}.")


def to_event_shape(
    x: TensorLike,
    event_shape: Sequence[int],
    argument: str = "x",
    batch_ndims: int = 1,
) -> tf.Tensor:
    """Reshapes images to the shape the model takes them in.

    Safe in a compiled step: nothing but static shapes is looked at.

    Args:
      x: images with `batch_ndims` axes before those of an image.
      event_shape: the shape of an image that is returned.
      argument: what error messages call the images.
      batch_ndims: number of batch axes.

    Returns:
      A tensor with the same batch axes and then `event_shape`.

    Raises:
      ValueError: if the static shape of `x` does not fit.
    """
    x = tf.convert_to_tensor(x)
    shape = None if x.shape.rank is None else tuple(x.shape)
    check_event_shape(shape, event_shape, argument, batch_ndims)
    if shape is not None and shape[batch_ndims:] == tuple(event_shape):
        return x
    batch = [None] * batch_ndims if shape is None else shape[:batch_ndims]
    batch = [tf.shape(x)[i] if n is None else n for i, n in enumerate(batch)]
    return tf.reshape(x, [*batch, *event_shape])
