"""What every bijector does to its parameters before it keeps them."""

from collections.abc import Mapping
from typing import Any, TypeVar

import tensorflow as tf

from tfp_flows._tfp import dtype_util, tensor_util

__all__ = [
    "check_batch_shapes",
    "check_same_event_size",
    "check_square",
    "convert_parameters",
    "interned",
    "last_axis",
    "refuse_keras_variables",
    "static_value",
]

_DTYPES = (tf.float32, tf.float64)
_INTERNED: dict[Any, Any] = {}

Settings = TypeVar("Settings")


def convert_parameters(**parameters: Any) -> dict[str, Any]:
    """Converts named parameters to one dtype, keeping variables as they are.

    Args:
      **parameters: tensors, arrays, numbers, `tf.Variable`s,
        `tfp.util.TransformedVariable`s or `tfp.util.DeferredTensor`s.

    Returns:
      The parameters by name: variables and deferred tensors untouched, so
      that they stay trainable and are read at every use, the rest as tensors.

    Raises:
      TypeError: a parameter is a `keras.Variable` (a bijector would freeze its
        value), the dtypes differ, or the common dtype is neither float32 nor
        float64.
    """
    refuse_keras_variables(**parameters)
    dtypes = {
        name: tf.as_dtype(value.dtype).base_dtype
        for name, value in parameters.items()
        if getattr(value, "dtype", None) is not None
    }
    if len(set(dtypes.values())) > 1:
        got = ", ".join(f"{n}: {d.name}" for n, d in dtypes.items())
        names = ", ".join(f"`{name}`" for name in parameters)
        raise TypeError(f"{names} must have one dtype; got {got}.")
    dtype = dtype_util.common_dtype(list(parameters.values()), tf.float32)
    if dtype not in _DTYPES:
        name = next(iter(dtypes))
        raise TypeError(
            f"`{name}` must be float32 or float64 (under a mixed-precision "
            f"policy, cast to float32 first); got {dtype.name}."
        )
    return {
        name: tensor_util.convert_nonref_to_tensor(value, dtype, name=name)
        for name, value in parameters.items()
    }


def interned(settings: Settings) -> Settings:
    """The first conditioner, or transformer, that equals this one.

    TensorFlow tells traced functions of composite tensors apart by the identity
    of what is called in them, so that equal ones had better be one.

    Raises:
      TypeError: it is not hashable; it holds a tensor, for example.
    """
    try:
        return _INTERNED.setdefault(settings, settings)
    except TypeError as error:
        raise TypeError(
            f"`{type(settings).__name__}` must be hashable: a frozen dataclass "
            f"of numbers, names and functions, no tensors; got {settings!r}."
        ) from error


def refuse_keras_variables(**parameters: Any) -> None:
    """Raises a TypeError that names the first `keras.Variable` among them."""
    for name, value in parameters.items():
        if _is_keras_variable(value):
            raise TypeError(
                f"`{name}` must not be a keras.Variable, because a bijector "
                f"would freeze its value; pass tf.convert_to_tensor({name}) "
                "inside the call, or a tf.Variable; got "
                f"{type(value).__name__} of shape {tuple(value.shape)}."
            )


def static_value(parameter: Any) -> Any:
    """The value as an array where it is constant and known, else None."""
    if isinstance(parameter, tf.Tensor):
        return tf.get_static_value(parameter)
    return None


def last_axis(parameter: Any) -> int | None:
    """The size of the last axis, where it is known statically."""
    shape = tf.TensorShape(parameter.shape)
    return shape[-1] if shape.rank else None


def check_same_event_size(**parameters: Any) -> None:
    """Raises unless all the parameters, `[..., D]`, have one static D.

    Raises:
      ValueError: a parameter is a scalar, has D = 0, or the sizes differ.
    """
    sizes = {}
    for name, value in parameters.items():
        shape = tf.TensorShape(value.shape)
        if shape.rank == 0 or (shape.rank and shape[-1] == 0):
            raise ValueError(
                f"`{name}` must have shape [..., D] with D >= 1; got {shape}."
            )
        if shape.rank is not None and shape[-1] is not None:
            sizes[name] = shape
    if len({shape[-1] for shape in sizes.values()}) > 1:
        names = " and ".join(f"`{name}`" for name in sizes)
        got = " and ".join(str(shape) for shape in sizes.values())
        raise ValueError(f"{names} must end in the same size D; got {got}.")


def check_batch_shapes(
    parameters: Mapping[str, Any], event_ndims: Mapping[str, int]
) -> None:
    """Raises ValueError unless their batch shapes broadcast, as far as known.

    Args:
      parameters: by name, of shapes `[*batch, *event]`.
      event_ndims: how many axes an event of each has.
    """
    shapes = {}
    for name, value in parameters.items():
        shape = tf.TensorShape(value.shape)
        if shape.rank is not None:
            shapes[name] = shape[: max(shape.rank - event_ndims[name], 0)]
    broadcast = tf.TensorShape([])
    try:
        for shape in shapes.values():
            broadcast = tf.broadcast_static_shape(broadcast, shape)
    except ValueError as error:
        names = ", ".join(f"`{name}`" for name in shapes)
        got = ", ".join(f"{name}: {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"{names} must have batch shapes that broadcast; got {got}."
        ) from error


def check_square(name: str, matrix: Any) -> None:
    """Raises ValueError unless the parameter has shape `[..., D, D]`."""
    shape = tf.TensorShape(matrix.shape)
    if shape.rank is not None and (
        shape.rank < 2 or not shape[-2:-1].is_compatible_with(shape[-1:])
    ):
        raise ValueError(f"`{name}` must have shape [..., D, D]; got {shape}.")
    check_same_event_size(**{name: matrix})


def _is_keras_variable(value: Any) -> bool:
    """True for Keras 3 variables, without importing Keras."""
    return any(
        cls.__module__.partition(".")[0] == "keras"
        and cls.__name__ in ("Variable", "KerasVariable")
        for cls in type(value).__mro__
    )
