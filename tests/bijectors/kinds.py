"""The first case of the registry of each kind of bijector, by name."""

import functools

import numpy as np
import tensorflow as tf

from tests.bijectors.registry import CASES
from tfp_flows.bijectors import Orthogonal, Permutation

__all__ = [
    "KINDS",
    "MIXINGS",
    "bijector",
    "event_shape",
    "members",
    "points",
]


def _one_of_each_kind():
    kinds = {}
    for case in CASES:
        kind = case.name.rpartition("-")[0]
        if np.prod(case.event_shape) > 1:
            kinds.setdefault(kind, case)
    return kinds


KINDS = _one_of_each_kind()
# Of two coordinates, in float32; not in the registry.
MIXINGS = {
    "orthogonal": Orthogonal([[0.6, -0.8], [0.8, 0.6]]),
    "permutation": Permutation([1, 0]),
    "permutations": Permutation([[1, 0], [0, 1], [1, 0]]),
    "permutations of a variable": Permutation(tf.Variable([[1, 0]] * 3)),
}


@functools.cache
def bijector(kind, batch_shape=()):
    if kind in MIXINGS:
        return MIXINGS[kind]
    case = KINDS[kind]
    return case.fresh(case.parameters("kinds", batch_shape), "float64")


def members(bijector):
    """It and all that it composes: those of `Chain`, `Invert` and `Scan`."""
    inner = getattr(bijector, "bijectors", None)
    if inner is None:
        inner = [bijector.bijector] if hasattr(bijector, "bijector") else []
    return [bijector, *(part for b in inner for part in members(b))]


def event_shape(kind):
    return (2,) if kind in MIXINGS else KINDS[kind].event_shape


def points(kind, batch_shape):
    case = KINDS["planar" if kind in MIXINGS else kind]
    dtype = tf.float32 if kind in MIXINGS else tf.float64
    return tf.constant(case.points("kinds", batch_shape), dtype)
