"""Means over independent values, and how sure they are."""

import math

import numpy as np

__all__ = ["mean_and_error", "standard_error"]


def standard_error(values: np.ndarray) -> float:
    """That of the mean of `[N]`; 0 for one value."""
    deviation = values.std(ddof=min(1, len(values) - 1))
    return float(deviation / math.sqrt(len(values)))


def mean_and_error(name: str, values: np.ndarray) -> dict[str, float]:
    """The mean of `[N]` by its name, and its standard error."""
    return {
        name: float(values.mean()),
        f"{name}_standard_error": standard_error(values),
    }
