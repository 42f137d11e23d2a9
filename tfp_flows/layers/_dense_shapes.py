"""Shapes of networks of dense layers: what they take, and what they return."""

import math
from collections.abc import Sequence
from typing import Any

from tfp_flows._arguments import as_positive_integer, check_positive_integers

__all__ = ["check_output_size", "flat_size"]


def check_output_size(value: Any) -> int | tuple[int, ...] | None:
    """A size, a shape or None; raises for anything else."""
    if value is None:
        return None
    if isinstance(value, Sequence):
        return check_positive_integers("output_size", value)
    return as_positive_integer("output_size", value)


def flat_size(input_shape: Sequence[int | None]) -> int:
    """The number of elements behind the batch axis; raises unless known."""
    sizes = tuple(input_shape)[1:]
    if not sizes or None in sizes:
        raise ValueError(
            "`inputs` must have shape [B, ...], with known sizes behind the "
            f"batch axis; got {tuple(input_shape)}."
        )
    return math.prod(size for size in sizes if size is not None)
