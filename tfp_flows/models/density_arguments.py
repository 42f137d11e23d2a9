"""Checks of the arguments of a density."""

import math
from typing import Any

from tfp_flows._arguments import as_positive_integer

__all__ = ["checked_inverted", "checked_levels", "checked_scale"]


def checked_inverted(value: Any) -> bool | None:
    """The value; raises unless it is a bool or None."""
    if value not in (None, True, False):
        raise ValueError(f"`inverted` must be a bool or None; got {value!r}.")
    return value


def checked_levels(value: Any) -> int | None:
    """L as an int, or None; raises for anything else."""
    return None if value is None else as_positive_integer("num_levels", value)


def checked_scale(name: str, value: Any) -> float:
    """The standard deviation of noise; raises unless it is one."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(
            f"`{name}` must be finite and not negative; got {value!r}."
        )
    return number
