"""The members of a batch of bijectors: their stacked tensors and one's map."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import Chain, Invert, ShapeParameterProperties
from tfp_flows.bijectors import one_pass
from tfp_flows.bijectors._through_inverse import push_through_inverse
from tfp_flows.bijectors.conditioners import Conditioner
from tfp_flows.bijectors.flow_bijector import OnePassBijector
from tfp_flows.bijectors.transformers import Transformer

__all__ = [
    "Members",
    "built",
    "check_leading_axis",
    "event_rank",
    "leaves",
    "members",
]

tfb = tfp.bijectors

Map = Callable[[tf.Tensor, Sequence[tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]
Push = Callable[
    [tf.Tensor, tf.Tensor, Sequence[tf.Tensor]], tuple[tf.Tensor, tf.Tensor]
]


_SETTINGS = (bool, str, tf.DType, Conditioner, Transformer)


class Members(NamedTuple):
    """K bijectors as stacked tensors `[K, ...]` and the maps of one of them.

    Each map takes a point and one slice of every tensor, and returns the
    image and its log-det; `push` takes the gradient of the point's density
    too, and returns that of the image (`density_gradients`).
    """

    tensors: tuple[tf.Tensor, ...]
    forward: Map
    inverse: Map
    push: Push


def built(bijector: Any) -> Any:
    """The bijector that a `DeferredModule` of `make_trainable` stands for."""
    if isinstance(bijector, tfp.experimental.util.DeferredModule):
        return bijector.copy()
    return bijector


def leaves(bijector: Any) -> list[tfb.Bijector]:
    """The bijectors that own the parameters, in `Chain`s and `Invert`s too."""
    bijector = built(bijector)
    if isinstance(bijector, Chain):
        return [leaf for part in bijector.bijectors for leaf in leaves(part)]
    if isinstance(bijector, Invert):
        return leaves(bijector.bijector)
    return [bijector]


def _tensor_parameters(leaf: tfb.Bijector) -> dict[str, tuple[Any, int]]:
    """The leaf's declared tensors and their event ranks, by name.

    Raises:
      TypeError: the leaf has parameters that are not declared tensors (a
        callable, a network, another bijector), or rolls a loop itself.
    """
    kind = type(leaf).__name__
    if not getattr(leaf, "_is_scannable", True):
        raise TypeError(
            f"`bijector` must not hold a {kind}, which is rolled already; "
            "concatenate the members instead."
        )
    try:
        declared = leaf.parameter_properties()
    except NotImplementedError:
        declared = {}
    tensors: dict[str, tuple[Any, int]] = {}
    for name, value in leaf.parameters.items():
        properties = declared.get(name)
        if isinstance(properties, ShapeParameterProperties) or _is_static(
            value, is_declared=properties is not None
        ):
            continue
        value = getattr(leaf, name, value)
        if properties is not None and isinstance(value, Mapping):
            event_ndims = properties.bijector_instance_event_ndims(
                leaf, leaf.forward_min_event_ndims
            )
            tensors |= {
                f"{name}['{key}']": (tensor, event_ndims[key])
                for key, tensor in value.items()
            }
            continue
        if properties is None or callable(value):
            raise TypeError(
                "`bijector` must hold nothing but declared tensor parameters "
                f"with a leading axis K; got {kind} with `{name}` = "
                f"{type(value).__name__}."
            )
        event_ndims = properties.event_ndims
        if callable(event_ndims):
            event_ndims = event_ndims(leaf)
        tensors[name] = (value, event_ndims)
    return tensors


def _is_static(value: Any, is_declared: bool) -> bool:
    if value is None or isinstance(value, _SETTINGS):
        return True
    # Numbers are settings, unless they stand for a declared tensor.
    numbers = value if isinstance(value, list | tuple) else [value]
    return not is_declared and all(isinstance(n, int | float) for n in numbers)


def event_rank(bijector: tfb.Bijector) -> int:
    """The rank of an event; ValueError unless the bijector keeps it."""
    before = bijector.forward_min_event_ndims
    after = bijector.inverse_min_event_ndims
    if tf.nest.is_nested(before) or int(before) != int(after):
        raise ValueError(
            "`bijector` must keep the rank of an event; got "
            f"{type(bijector).__name__} from {before} to {after} event axes."
        )
    return int(before)


def check_leading_axis(bijector: tfb.Bijector) -> None:
    """Raises ValueError unless every parameter carries one K >= 1."""
    first_shape, has_parameters = None, False
    for leaf in leaves(bijector):
        extra = int(bijector.forward_min_event_ndims) - event_rank(leaf)
        for name, (value, event_ndims) in _tensor_parameters(leaf).items():
            has_parameters = True
            shape = tf.TensorShape(value.shape)
            if shape.rank is None:
                continue
            batch = shape[: max(0, shape.rank - event_ndims - extra)]
            if first_shape is None:
                first_shape = batch
            described = f"got `{name}` of {type(leaf).__name__} with shape"
            if batch.rank and batch[0] == 0:
                raise ValueError(
                    "`bijector` must have at least one member, K >= 1; "
                    f"{described} {shape}."
                )
            if (
                batch.rank == 0
                or batch.rank != first_shape.rank
                or None not in (batch[0], first_shape[0])
                and batch[0] != first_shape[0]
            ):
                expected = (
                    "K"
                    if batch is first_shape or not first_shape.rank
                    else f"K = {first_shape[0]}"
                )
                axes = max(1, first_shape.rank)
                raise ValueError(
                    "`bijector` must have parameters of shape [K, ...] with "
                    f"one leading axis {expected} and {axes} batch axes in "
                    f"all (of size 1 where shared); {described} {shape}."
                )
    if not has_parameters:
        raise ValueError(
            "`bijector` must have parameters of shape [K, ...]; got "
            f"{type(bijector).__name__} without any."
        )


def members(bijector: Any, event_ndims: int) -> Members:
    """Takes a bijector with batch shape `[K, ...]` apart."""
    bijector = built(bijector)
    if isinstance(bijector, Invert):
        inner = members(bijector.bijector, event_ndims)
        return Members(
            inner.tensors,
            forward=inner.inverse,
            inverse=inner.forward,
            push=_push_through_inverse(inner.inverse, inner.forward),
        )
    if isinstance(bijector, Chain):
        return _chain([members(b, event_ndims) for b in bijector.bijectors])
    if isinstance(bijector, OnePassBijector):
        return _flow(bijector, event_ndims)
    return _rebuilt(bijector, event_ndims)


def _chain(parts: Sequence[Members]) -> Members:
    ends = list(itertools.accumulate(len(part.tensors) for part in parts))
    indices = range(len(parts))

    def own(i: int, slices: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        return slices[ends[i] - len(parts[i].tensors) : ends[i]]

    def run(order: Sequence[int], direction: str) -> Map:
        def apply(
            x: tf.Tensor, slices: Sequence[tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            total = tf.zeros([], x.dtype)
            for i in order:
                x, log_det = getattr(parts[i], direction)(x, own(i, slices))
                total += log_det
            return x, total

        return apply

    def push(
        x: tf.Tensor, gradient: tf.Tensor, slices: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        for i in indices[::-1]:
            x, gradient = parts[i].push(x, gradient, own(i, slices))
        return x, gradient

    return Members(
        tuple(t for part in parts for t in part.tensors),
        forward=run(indices[::-1], "forward"),
        inverse=run(indices, "inverse"),
        push=push,
    )


def _flow(bijector: OnePassBijector, event_ndims: int) -> Members:
    extra = range(-(event_ndims - int(bijector.forward_min_event_ndims)), 0)

    def reduced(function: Map) -> Map:
        def apply(
            x: tf.Tensor, slices: Sequence[tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            y, log_det = function(x, slices)
            return y, tf.reduce_sum(log_det, axis=list(extra))

        return apply if extra else function

    return Members(
        tuple(bijector._constrained_parameters()),
        forward=reduced(bijector._forward_and_log_det),
        inverse=reduced(bijector._inverse_and_log_det),
        push=bijector._push_density_gradient,
    )


def _rebuilt(bijector: tfb.Bijector, event_ndims: int) -> Members:
    """Members of a bijector of others: a copy per slice, with its methods."""
    tensors = _tensor_parameters(bijector)

    def applied(in_one_pass: Callable[..., Any]) -> Map:
        def apply(
            x: tf.Tensor, slices: Sequence[tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            member = bijector.copy(**dict(zip(tensors, slices, strict=True)))
            # TFP's cache would answer with what it computed outside the tape.
            return in_one_pass(member, tf.identity(x), event_ndims)

        return apply

    forward = applied(one_pass.forward_and_log_det)
    inverse = applied(one_pass.inverse_and_log_det)
    return Members(
        tuple(tf.convert_to_tensor(value) for value, _ in tensors.values()),
        forward=forward,
        inverse=inverse,
        push=_push_through_inverse(forward, inverse, type(bijector).__name__),
    )


def _push_through_inverse(
    forward: Map, inverse: Map, name: str | None = None
) -> Push:
    def push(
        x: tf.Tensor, gradient: tf.Tensor, slices: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return push_through_inverse(
            lambda x: forward(x, slices)[0],
            lambda y: inverse(y, slices),
            x,
            gradient,
            name,
        )

    return push
