"""Every bijector and every layer's, and every way in which one is run."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tests.bijectors.registry import CASES
from tests.layers.flows import LAYERS
from tfp_flows.bijectors import Orthogonal, Permutation

__all__ = [
    "FLOWS",
    "NUM_POINTS",
    "WAYS",
    "Flow",
    "flow",
    "log_prob",
    "points",
    "values",
]

tfb, tfd = tfp.bijectors, tfp.distributions

NUM_POINTS = 3
WAYS = (
    "plain",
    "vectorized_map",
    "map_fn",
    "while_loop",
    "cond",
    "auto_batched",
)

# One case of every class; the Scans are those of the layers.
_CASES = (
    "planar-3",
    "radial-3",
    "circular-3",
    "circular-2x3",
    "symmetric-3",
    "s-log-3",
    "deep-sigmoidal-3",
    "additive-3",
    "affine-3",
    "data-adaptive-3",
    "conf-5",
    "householder-3",
    "sylvester-orthogonal-3",
    "sylvester-householder-2",
    "sylvester-triangular-3",
    "lu-linear-2",
    "spline-3",
    "spline-coupling-3",
    "circular-spline-3",
    "half-circular-spline-coupling-3",
    "half-circular-spline-autoregressive-3",
    "iaf-3",
    "iaf-gated-3",
    "maf-2",
    "spline-autoregressive-3",
    "naf-3",
    "masked-deep-sigmoidal-3",
    "split-gated-convolution-5",
    "autoregressive-shift-3",
)
# Layers that differ from another one only in parts that have rows themselves.
_VARIANTS = (
    "nice_ortho",
    "nice_scaling",
    "iaf_gated",
    "iaf_inverted",
    "spline_coupling_circular",
)


@dataclasses.dataclass(frozen=True)
class Flow:
    """A bijector of variables: `make()` reads them.

    Attributes:
      make: returns the bijector.
      variables: what it reads and what has a gradient.
      event_shape: of its points.
    """

    make: Callable[[], tfb.Bijector]
    variables: Sequence[tf.Variable]
    event_shape: tuple[int, ...]


def _of_case(case: Any) -> Flow:
    variables = {
        name: tf.Variable(value, dtype=tf.float64)
        for name, value in case.parameters("matrix", ()).items()
    }

    def make() -> tfb.Bijector:
        return case.build(**tf.nest.map_structure(tf.identity, variables))

    return Flow(make, list(variables.values()), tuple(case.event_shape))


def _orthogonal() -> Flow:
    matrix = tf.Variable(
        np.linalg.qr(np.random.default_rng(0).normal(size=[3, 3]))[0]
    )
    return Flow(lambda: Orthogonal(tf.identity(matrix)), [matrix], (3,))


def _permutation() -> Flow:
    return Flow(lambda: Permutation([2, 0, 1]), [], (3,))


def _of_layer(build: Callable[..., Any]) -> Flow:
    layer = build(2, seed=0, dtype="float64")
    layer.build((None, 3))
    rng = np.random.default_rng(1)
    for variable in layer.trainable_weights:
        variable.assign(variable + 0.3 * rng.standard_normal(variable.shape))
    variables = [v.value for v in layer.trainable_weights]
    return Flow(layer.bijector, variables, (3,))


_BY_NAME = {case.name: case for case in CASES}
FLOWS = {
    **{name: lambda name=name: _of_case(_BY_NAME[name]) for name in _CASES},
    "orthogonal": _orthogonal,
    "permutation": _permutation,
    **{
        f"layer {name}": lambda build=build: _of_layer(build)
        for name, build in LAYERS.items()
        if name not in _VARIANTS
    },
}


def flow(name: str) -> Flow:
    """The flow of this name, with variables of its own."""
    return FLOWS[name]()


def points(event_shape: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """x for the forward and y for the inverse direction."""
    rng = np.random.default_rng(2)
    shape = (2, NUM_POINTS, *event_shape)
    x, y = rng.standard_normal(shape)
    return tf.constant(x), tf.constant(y)


def values(
    way: str, bijector: tfb.Bijector, x: tf.Tensor, y: tf.Tensor
) -> tf.Tensor:
    """Both directions and both log-dets, `[N, 4]`, run in this way.

    Where a model does it, the log density of both, `[N]`.
    """
    event_ndims = int(bijector.forward_min_event_ndims)
    axes = list(range(-event_ndims, 0))

    def weigh(point: tf.Tensor) -> tf.Tensor:
        shape = x.shape[1:]
        weights = np.cos(np.arange(1, shape.num_elements() + 1))
        return tf.reduce_sum(point * weights.reshape(shape), axis=axes)

    def one(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        batch = tf.shape(x)[: x.shape.rank - event_ndims]
        parts = [
            weigh(bijector.forward(x)),
            bijector.forward_log_det_jacobian(x, event_ndims),
            weigh(bijector.inverse(y)),
            bijector.inverse_log_det_jacobian(y, event_ndims),
        ]
        parts = [tf.broadcast_to(part, batch) for part in parts]
        return tf.stack(parts, axis=-1)

    if way == "plain":
        return one(x, y)
    if way == "vectorized_map":
        return tf.vectorized_map(lambda at: one(*at), (x, y))
    if way == "map_fn":
        return tf.map_fn(
            lambda at: one(*at), (x, y), fn_output_signature=x.dtype
        )
    if way == "while_loop":
        start = tf.zeros([NUM_POINTS, 4], x.dtype)
        return tf.while_loop(
            lambda i, _: i < 2,
            lambda i, total: (i + 1, total + 0.5 * one(x, y)),
            (0, start),
            maximum_iterations=2,
        )[1]
    if way == "cond":
        return tf.cond(
            tf.reduce_sum(x) < 1e9,
            lambda: one(x, y),
            lambda: tf.zeros([NUM_POINTS, 4], x.dtype),
        )
    assert way == "auto_batched"
    return log_prob(bijector, x, y, is_model=True)


def log_prob(
    bijector: tfb.Bijector, x: tf.Tensor, y: tf.Tensor, *, is_model: bool
) -> tf.Tensor:
    """Of y behind the bijector, and of x behind its inverse, `[N]`."""
    event_shape = x.shape[
        x.shape.rank - int(bijector.forward_min_event_ndims) :
    ]
    base = tfd.Sample(tfd.Normal(tf.zeros([], x.dtype), 1.0), event_shape)
    parts = [
        tfd.TransformedDistribution(base, bijector),
        tfd.TransformedDistribution(base, tfb.Invert(bijector)),
    ]
    if is_model:
        return tfd.JointDistributionSequentialAutoBatched(parts).log_prob(
            [y, x]
        )
    return parts[0].log_prob(y) + parts[1].log_prob(x)
