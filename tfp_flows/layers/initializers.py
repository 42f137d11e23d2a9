"""Initial values of stacked weights, the same kind of thing for every step."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = [
    "Initializer",
    "generator",
    "stacked_orthogonal",
    "stacked_permutation",
    "stacked_sweeps",
]

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


def stacked_sweeps(seed: int | None) -> Initializer:
    """Random permutations `[K, D]` that move all coordinates soon.

    Each order is that of the step before, turned by half its length, until
    every coordinate has been in the last half, which a coupling moves: after
    two steps for an even D, else after three. Then comes a new one.
    """

    def initializer(shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        num_steps, size = shape
        half = max(1, size // 2)
        numbers, period = generator(seed), -(-size // half)
        drawn = [numbers.permutation(size) for _ in range(0, num_steps, period)]
        orders = [
            np.roll(drawn[k // period], k % period * half)
            for k in range(num_steps)
        ]
        return np.array(orders, dtype)

    return initializer
