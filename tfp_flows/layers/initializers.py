"""Initial values of stacked weights, the same kind of thing for every step."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["generator", "stacked_orthogonal", "stacked_permutation"]

Initializer = Callable[..., np.ndarray]


def generator(seed: int | None) -> np.random.Generator:
    """Of random numbers; without a seed one of Python's own generator."""
    # As Keras's own default, it follows `keras.utils.set_random_seed`.
    return np.random.default_rng(
        random.randrange(2**31) if seed is None else seed
    )


def stacked_orthogonal(seed: int | None) -> Initializer:
    """Random orthogonal matrices `[K, D, D]`, of the uniform distribution."""

    def initializer(shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        normal = generator(seed).standard_normal(shape)
        q, r = np.linalg.qr(normal)
        # Without the signs of R the distribution would not be uniform.
        signs = np.sign(np.diagonal(r, axis1=-2, axis2=-1))
        return (q * signs[..., np.newaxis, :]).astype(dtype)

    return initializer


def stacked_permutation(seed: int | None) -> Initializer:
    """Random permutations `[K, D]`."""

    def initializer(shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        keys = generator(seed).random(shape)
        return np.argsort(keys, axis=-1).astype(dtype)

    return initializer
