"""A bijector under test: how it is built, and what it is given."""

import dataclasses
import functools
import inspect
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.testing.tolerances import Tolerances

__all__ = [
    "Arrays",
    "BijectorCase",
    "ParameterShape",
    "ParameterShapes",
    "ParameterShapesLike",
    "Tensors",
    "parameter_shapes_of",
]

tfb = tfp.bijectors

# Distances from the origin of the points that every check uses.
SCALES = (0.1, 1.0, 10.0, 100.0)
NUM_POINTS = 8
NUM_EXAMPLES = 4

Arrays = dict[str, np.ndarray]
Tensors = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class ParameterShape:
    """A parameter of shape `leading + batch_shape + event`.

    Attributes:
      event: shape of the parameter of one map.
      leading: axes in front of the batch, such as the number of steps.
      constraint: bijector from free reals to valid values; None if any value
        is valid.
    """

    event: Sequence[int] = ()
    leading: Sequence[int] = ()
    constraint: tfb.Bijector | None = None

    def shape(self, batch_shape: Sequence[int | None]) -> tuple[Any, ...]:
        """The parameter's shape for maps of shape `batch_shape`."""
        return (*self.leading, *batch_shape, *self.event)

    def unconstrained_shape(
        self, batch_shape: Sequence[int]
    ) -> tuple[int, ...]:
        """Shape of the free reals that `constraint` takes."""
        shape = self.shape(batch_shape)
        if self.constraint is None:
            return shape
        return tuple(self.constraint.inverse_event_shape(shape))


ParameterShapes: TypeAlias = Mapping[str, ParameterShape]
ParameterShapesLike: TypeAlias = (
    ParameterShapes | Callable[[Sequence[int]], ParameterShapes] | None
)


def parameter_shapes_of(
    bijector_class: type[tfb.Bijector], leading: Sequence[int] = ()
) -> Callable[[Sequence[int]], ParameterShapes]:
    """Parameter shapes by event shape, from `_parameter_properties`.

    Args:
      bijector_class: its properties give shapes and constraints.
      leading: axes in front of the batch, `(K,)` for a Scan of K members.

    Returns:
      A function `event_shape -> {name: ParameterShape}`.

    Raises:
      ValueError: a parameter's properties lack a shape or a constraint.
    """

    def parameter_shapes(event_shape: Sequence[int]) -> ParameterShapes:
        shapes = {}
        properties = bijector_class.parameter_properties(dtype=tf.float64)
        for name, p in properties.items():
            if not (p.is_tensor and p.is_preferred):
                continue
            try:
                event = tuple(p.shape_fn(tf.TensorShape(event_shape)))
                constraint = p.default_constraining_bijector_fn()
            except NotImplementedError as error:
                raise ValueError(
                    "`_parameter_properties` must give `shape_fn` and "
                    "`default_constraining_bijector_fn` for each parameter, or "
                    "`parameter_shapes` must be given; got "
                    f"{bijector_class.__name__}.{name}: {error}"
                ) from error
            if isinstance(constraint, tfb.Identity):
                constraint = None
            shapes[name] = ParameterShape(
                tuple(int(n) for n in event), tuple(leading), constraint
            )
        return shapes

    return parameter_shapes


@dataclasses.dataclass(frozen=True, eq=False)
class BijectorCase:
    """One line of a registry: a bijector to check, at one event shape.

    Attributes:
      name: for reports.
      build: a `tfb.Bijector` class with complete `_parameter_properties`, a
        `functools.partial` of one, or any function `build(**parameters)` that
        returns a bijector.
      event_shape: of the points, the same on both sides.
      parameter_shapes: `{name: ParameterShape}`, or a function that returns it
        for an event shape; None takes it from `build`'s properties.
      tolerances: largest errors that count as right.
      dtypes: among "float32" and "float64". Reference values are always
        computed in float64.
      parameter_scale: norm of the free reals behind each random parameter.
      identity_at: parameters at whose zero the map is promised to be the
        identity.
      circular: which coordinates of a vector are points of a circle,
        `[-half_width, half_width)`: none, all or these. There points are drawn.
      half_width: half of the length of these circles.
      autoregressive_order: the place of each coordinate in an order in which
        no coordinate depends on a later one, `[D]`; None: no promise.
      refuses: what the bijector refuses: the step of a check, as a failure
        names it, to a regular expression that its error must match. Such a
        step fails unless it is refused.
      thorough: whether the checks of derivatives and loops run every program
        they know, which takes twice the time of the whole kit.
      seed: of every random number.
    """

    name: str
    build: Callable[..., tfb.Bijector]
    event_shape: Sequence[int]
    parameter_shapes: ParameterShapesLike = None
    tolerances: Tolerances = Tolerances()
    dtypes: Sequence[str] = ("float32", "float64")
    parameter_scale: float = 1.0
    identity_at: Sequence[str] = ()
    circular: bool | Sequence[int] = False
    half_width: float = math.pi
    autoregressive_order: Sequence[int] | None = None
    refuses: Mapping[str, str] = dataclasses.field(default_factory=dict)
    thorough: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not callable(self.build):
            raise TypeError(
                "`build` must be a bijector class or a function; got "
                f"{self.build!r}."
            )
        if not set(self.dtypes) or set(self.dtypes) - {"float32", "float64"}:
            raise ValueError(
                "`dtypes` must be among 'float32' and 'float64'; got "
                f"{self.dtypes}."
            )
        order = self.autoregressive_order
        if order is not None and sorted(order) != list(range(self.event_size)):
            raise ValueError(
                "`autoregressive_order` must hold each of 0, ..., "
                f"{self.event_size - 1} once; got {list(order)}."
            )
        unknown = set(self.identity_at) - set(self.shapes)
        if unknown:
            raise ValueError(
                "`identity_at` must name parameters among "
                f"{sorted(self.shapes)}; got {sorted(unknown)}."
            )

    def __repr__(self) -> str:
        return f"BijectorCase({self.name})"

    @property
    def bijector_class(self) -> type[tfb.Bijector] | None:
        """The class behind `build`, or None for a function."""
        build = self.build
        if isinstance(build, functools.partial):
            build = build.func
        if inspect.isclass(build) and issubclass(build, tfb.Bijector):
            return build
        return None

    @functools.cached_property
    def shapes(self) -> dict[str, ParameterShape]:
        """`{name: ParameterShape}` at `event_shape`."""
        shapes = self.parameter_shapes
        if shapes is None:
            if self.bijector_class is None:
                raise ValueError(
                    "`parameter_shapes` must be given where `build` is not a "
                    f"bijector class; got build={self.build!r}."
                )
            shapes = parameter_shapes_of(self.bijector_class)
        if callable(shapes):
            shapes = shapes(tuple(self.event_shape))
        fixed = getattr(self.build, "keywords", {})
        return {name: s for name, s in shapes.items() if name not in fixed}

    @property
    def event_ndims(self) -> int:
        """Rank of the event."""
        return len(self.event_shape)

    @property
    def event_size(self) -> int:
        """Number of coordinates of the event."""
        return math.prod(self.event_shape)

    @functools.cached_property
    def is_circular(self) -> np.ndarray:
        """Whether each coordinate is a point of a circle, `event_shape`."""
        result = np.full(tuple(self.event_shape), self.circular is True)
        if not isinstance(self.circular, bool):
            result[list(self.circular)] = True
        return result

    @property
    def base_scale(self) -> np.ndarray:
        """Standard deviations of normal noise, `event_shape`.

        As good as none of it leaves a circle.
        """
        return np.where(self.is_circular, self.half_width / 8.0, 1.0)

    def at_event_shape(
        self, event_shape: Sequence[int]
    ) -> "BijectorCase | None":
        """The same case at another event shape; None if not derivable."""
        if tuple(event_shape) == tuple(self.event_shape):
            return self
        if self.parameter_shapes is None or callable(self.parameter_shapes):
            return dataclasses.replace(
                self,
                event_shape=tuple(event_shape),
                autoregressive_order=None,
                refuses={},
            )
        return None

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator of numbers that depend on the seed and the purpose."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])

    def points(
        self, purpose: str, batch_shape: Sequence[int] | None = None
    ) -> np.ndarray:
        """Random points, `batch_shape + event_shape`.

        Their distances from the origin run through `SCALES` along the first
        axis of the batch, on circles by whole turns. Every value is exact in
        float32.
        """
        if batch_shape is None:
            batch_shape = (NUM_POINTS, NUM_EXAMPLES)
        rng = self.rng(purpose)
        x = rng.standard_normal((*batch_shape, *self.event_shape))
        if batch_shape:
            scales = np.resize(SCALES, batch_shape[0])
            x *= scales.reshape((-1,) + (1,) * (x.ndim - 1))
        turn = 2.0 * self.half_width
        wrapped = np.mod(x + self.half_width, turn) - self.half_width
        return _exact(np.where(self.is_circular, wrapped, x))

    def unconstrained(
        self, purpose: str, batch_shape: Sequence[int], scale: float = 1.0
    ) -> Arrays:
        """Random free reals for each parameter, norm `parameter_scale`.

        The last batch axis holds antithetic pairs, v and -v: a formula that is
        right for one sign of a parameter alone shows on the other.
        """
        rng = self.rng(purpose)
        result = {}
        for name, spec in self.shapes.items():
            shape = spec.unconstrained_shape(batch_shape)
            num_event = math.prod(spec.unconstrained_shape(())) // math.prod(
                spec.leading
            )
            value = rng.standard_normal(shape) / math.sqrt(max(1, num_event))
            axis = len(spec.leading) + len(batch_shape) - 1
            if batch_shape and batch_shape[-1] > 1:
                half = -(-batch_shape[-1] // 2)
                first = np.take(value, np.arange(half), axis)
                value = np.concatenate([first, -first], axis)
                value = np.take(value, np.arange(batch_shape[-1]), axis)
            result[name] = value * self.parameter_scale * scale
        return result

    def constrain(self, unconstrained: Arrays, exact: bool = True) -> Arrays:
        """Valid values of the parameters; `exact` makes them so in float32."""
        result = {}
        for name, value in unconstrained.items():
            constraint = self.shapes[name].constraint
            if constraint is not None:
                value = _apply(constraint, value)
            result[name] = _exact(value) if exact else value
        return result

    def parameters(
        self, purpose: str, batch_shape: Sequence[int], scale: float = 1.0
    ) -> Arrays:
        """Random valid parameters for maps of shape `batch_shape`."""
        return self.constrain(self.unconstrained(purpose, batch_shape, scale))

    def take(self, parameters: Arrays, *index: Any) -> Arrays:
        """`parameters[name][index]`, the index being that of the batch."""
        return {
            name: value[self.batch_index(name, *index)]
            for name, value in parameters.items()
        }

    def batch_index(self, name: str, *index: Any) -> tuple[Any, ...]:
        """An index of the batch axes, for the whole array of a parameter."""
        spec = self.shapes[name]
        everything = (slice(None),)
        if not any(i is Ellipsis for i in index):
            index = (*index, Ellipsis)
        return (
            everything * len(spec.leading)
            + index
            + everything * len(spec.event)
        )

    def tensors(self, arrays: Arrays, dtype: str = "float64") -> Tensors:
        """Fresh tensors, which no cache of TFP's has seen."""
        return {name: tf.constant(v, dtype) for name, v in arrays.items()}

    def fresh(self, parameters: Arrays, dtype: str = "float64") -> tfb.Bijector:
        """A bijector on fresh tensors.

        TFP shares its cache between bijectors that hold the same tensors; one
        on tensors of its own starts with nothing.
        """
        return self.build(**self.tensors(parameters, dtype))

    def describe(
        self, points: np.ndarray, parameters: Arrays
    ) -> Callable[[tuple[int, ...]], str]:
        """Text of the point and the parameters at an index `[n, b, ...]`."""

        def where(index: tuple[int, ...]) -> str:
            n, b = index[:2]
            values = {"point": points[n, b], **self.take(parameters, b)}
            return "; ".join(f"{k}={_short(v)}" for k, v in values.items())

        return where

    def describe_example(
        self, parameters: Arrays
    ) -> Callable[[tuple[int, ...]], str]:
        """Text of the parameters at an index `[b, ...]`."""

        def where(index: tuple[int, ...]) -> str:
            values = self.take(parameters, index[0])
            return "; ".join(f"{k}={_short(v)}" for k, v in values.items())

        return where


def _apply(constraint: tfb.Bijector, value: np.ndarray) -> np.ndarray:
    try:
        result = constraint.forward(tf.constant(value, tf.float64))
    except (TypeError, ValueError):
        # Some constraints, such as tfb.FillScaleTriL(), are float32 alone.
        result = constraint.forward(tf.constant(value, tf.float32))
    return result.numpy().astype(np.float64)


def _exact(value: np.ndarray) -> np.ndarray:
    return np.asarray(value, np.float32).astype(np.float64)


def _short(value: np.ndarray) -> str:
    flat = np.ravel(value)
    text = ", ".join(f"{v:.4g}" for v in flat[:6])
    if flat.size > 6:
        text += f", ... ({flat.size} values)"
    return text if value.ndim == 0 else f"[{text}]"
