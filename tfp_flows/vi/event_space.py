"""The bijector from vectors on R^D to a model's variables."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import Chain

__all__ = [
    "EventSpace",
    "flat_shapes",
    "is_shape",
    "leaf_names",
    "pack_like",
    "sealed",
]

tfb = tfp.bijectors


class EventSpace(Chain):
    """Splits a vector, shapes its parts, and takes each onto its support.

    It has no batch shape and no variables that anything trains: those of the
    model, which supports may depend on, stay the model's.

    Args:
      onto_supports: from a nest of unconstrained tensors to the variables.
      unconstrained_shape: the nest of their event shapes.
      name: of the bijector.
    """

    _TF_MODULE_IGNORED_PROPERTIES = Chain._TF_MODULE_IGNORED_PROPERTIES.union(
        ("_bijectors", "_bijectors_trackable", "_parameters")
    )

    def __init__(
        self,
        onto_supports: tfb.Bijector,
        unconstrained_shape: Any,
        name: str = "event_space",
    ) -> None:
        parameters = dict(locals())
        shapes = [
            tf.TensorShape(shape) for shape in flat_shapes(unconstrained_shape)
        ]
        sizes = [math.prod(shape) for shape in shapes]
        if tf.nest.is_nested(onto_supports.forward_min_event_ndims):
            index = pack_like(unconstrained_shape, range(len(shapes)))
            parts = [
                tfb.Restructure(index),
                tfb.JointMap(
                    [
                        tfb.Reshape(shape, [size])
                        for shape, size in zip(shapes, sizes, strict=True)
                    ]
                ),
                tfb.Split(sizes),
            ]
        else:
            parts = [tfb.Reshape(shapes[0], sizes)]
        self.event_size = sum(sizes)
        self.unconstrained_shapes = tuple(shapes)
        super().__init__(
            [onto_supports, *parts], parameters=parameters, name=name
        )

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype
        return {}


def is_shape(value: Any) -> bool:
    """Whether it is one event shape, not a nest of them."""
    if isinstance(value, tf.TensorShape):
        return True
    return (
        isinstance(value, list | tuple)
        and not hasattr(value, "_fields")
        and all(isinstance(size, int) for size in value)
    )


def flat_shapes(nest: Any) -> list[Any]:
    """The event shapes in a nest, in the order of `tf.nest`."""
    return tf.nest.flatten(sealed(nest))


def leaf_names(nest: Any, prefix: str = "") -> list[str]:
    """Of what a nest holds, "a/b": keys and fields, "x0" for places in a list.

    In the order of `tf.nest`; of no nest, "x".
    """
    if isinstance(nest, dict):
        items = [(str(key), nest[key]) for key in sorted(nest)]
    elif hasattr(nest, "_fields"):
        items = list(zip(nest._fields, nest, strict=True))
    elif isinstance(nest, list | tuple):
        items = [(f"x{index}", value) for index, value in enumerate(nest)]
    else:
        return [prefix or "x"]
    return [
        name
        for key, value in items
        for name in leaf_names(value, f"{prefix}/{key}" if prefix else key)
    ]


def pack_like(nest: Any, values: Sequence[Any]) -> Any:
    """Values, one for each event shape of a nest, in its structure."""
    return tf.nest.pack_sequence_as(sealed(nest), list(values))


def sealed(nest: Any) -> Any:
    """The nest with shapes that `tf.nest` does not look into."""
    if is_shape(nest):
        return tf.TensorShape(nest)
    if isinstance(nest, dict):
        return type(nest)((key, sealed(value)) for key, value in nest.items())
    if hasattr(nest, "_fields"):
        return type(nest)(*map(sealed, nest))
    return type(nest)(map(sealed, nest))
