"""Checks of constructor arguments that several classes share."""

import math
import numbers
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = [
    "as_coordinates",
    "as_integer",
    "as_order",
    "as_positive_integer",
    "as_positive_number",
    "check_positive_integers",
    "check_precision",
    "full_image_shape",
    "is_positive_integer",
]


def as_coordinates(name: str, value: Any) -> bool | tuple[int, ...]:
    """False, True or the indices in their order; raises for anything else."""
    if isinstance(value, bool):
        return value
    indices = None
    if isinstance(value, Iterable):
        indices = [_index(item) for item in value]
    if (
        not indices
        or any(index is None or index < 0 for index in indices)
        or len(set(indices)) < len(indices)
    ):
        raise ValueError(
            f"`{name}` must be False, True or a sequence of different "
            f"integers >= 0, the indices of coordinates; got {value!r}."
        )
    return tuple(sorted(index for index in indices if index is not None))


def as_integer(name: str, value: Any, least: int) -> int:
    """The value as an int, NumPy's integers too; raises unless `>= least`."""
    number = _index(value)
    if number is None or number < least:
        raise ValueError(
            f"`{name}` must be an integer >= {least}; got {value!r}."
        )
    return number


def as_order(
    name: str, value: Sequence[int] | None, size: int
) -> tuple[int, ...]:
    """The places of `size` coordinates; None is that of their numbers."""
    order = range(size) if value is None else value
    if sorted(order) != list(range(size)):
        raise ValueError(
            f"`{name}` must hold each of 0, ..., {size - 1} once; got "
            f"{list(order)}."
        )
    return tuple(map(int, order))


def as_positive_integer(name: str, value: Any) -> int:
    """The value as an int, NumPy's integers too; raises unless it is one."""
    return as_integer(name, value, 1)


def as_positive_number(name: str, value: Any) -> float:
    """The value as a float; raises unless it is positive and finite."""
    is_finite = isinstance(value, numbers.Real) and math.isfinite(value)
    if not (is_finite and value > 0):
        raise ValueError(
            f"`{name}` must be positive and finite; got {value!r}."
        )
    return float(value)


def check_precision(layer: Any) -> None:
    """Raises a ValueError unless the variables have full precision."""
    if layer.variable_dtype not in ("float32", "float64"):
        raise ValueError(
            "`dtype` must have variables in float32 or float64, in which "
            "flows and densities are computed ('mixed_bfloat16' has, and "
            "computes the rest in bfloat16); got "
            f"{layer.dtype_policy.name}."
        )


def check_positive_integers(name: str, values: Any) -> tuple[int, ...]:
    """The values as a tuple; raises unless they are positive integers."""
    if not isinstance(values, Sequence) or not all(
        is_positive_integer(value) for value in values
    ):
        raise ValueError(
            f"`{name}` must be a sequence of integers >= 1; got {values!r}."
        )
    return tuple(map(operator.index, values))


def full_image_shape(image_shape: Any) -> tuple[int, int, int]:
    """`(H, W)` or `(H, W, C)` as `(H, W, C)`; raises for anything else."""
    if not isinstance(image_shape, Sequence) or not (
        len(image_shape) in (2, 3)
        and all(is_positive_integer(size) for size in image_shape)
    ):
        raise ValueError(
            "`image_shape` must be (height, width) or (height, width, "
            f"channels), of integers >= 1; got {image_shape!r}."
        )
    height, width, *channels = map(operator.index, image_shape)
    return height, width, math.prod(channels)


def is_positive_integer(value: Any) -> bool:
    """Whether it is an integer, NumPy's too, that is at least 1; no bool."""
    return (_index(value) or 0) >= 1


def _index(value: Any) -> int | None:
    """An integer that is no bool, as an int; None for anything else."""
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
