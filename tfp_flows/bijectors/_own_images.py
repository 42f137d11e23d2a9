"""The way back from the images that a bijector has made itself."""

import dataclasses
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows._tfp import (
    could_possibly_record,
    pack_tangents,
    ps,
    stop_recording,
)

__all__ = ["differentiated_anew", "recall", "remember", "tensors_of"]

_ATTRIBUTE = "_tfp_flows_origin"

PointAndLogDet = tuple[tf.Tensor, tf.Tensor]


@dataclasses.dataclass(eq=False)
class _Parameters:
    """The numbers that a bijector mapped with."""

    bijector: weakref.ref
    tensors: list[tf.Tensor]

    def equal(self, tensors: Sequence[tf.Tensor]) -> bool:
        return all(map(_equal, self.tensors, tensors))


@dataclasses.dataclass(frozen=True)
class _Origin:
    """Where an image comes from; it lives as long as the image."""

    forward: bool
    preimage: tf.Tensor
    log_dets: dict[str, tf.Tensor]
    parameters: _Parameters


# The latest of every bijector, so that many images do not hold many copies.
_latest: weakref.WeakValueDictionary[int, _Parameters] = (
    weakref.WeakValueDictionary()
)


def remember(
    bijector: Any,
    preimage: tf.Tensor,
    image: tf.Tensor,
    attributes: dict[str, Any],
    forward: bool,
) -> None:
    """Notes at an eager `image` what it is the image of, in which direction."""
    # What a callable reads is not known, nor whether it is still the same.
    if bijector._is_opaque or image is preimage:
        return
    tensors = tensors_of(attributes["parameters"])
    latest = _latest.get(id(bijector))
    if (
        latest is None
        or latest.bijector() is not bijector
        or not latest.equal(tensors)
    ):
        latest = _Parameters(weakref.ref(bijector), tensors)
        _latest[id(bijector)] = latest
    origin = _Origin(
        forward,
        # A tensor of its own: no chain of images is kept.
        _detached(preimage),
        {name: attributes[name] for name in ("fldj", "ildj")},
        latest,
    )
    setattr(image, _ATTRIBUTE, origin)


def recall(
    bijector: Any, image: tf.Tensor, forward: bool
) -> PointAndLogDet | None:
    """What the direction `forward`, or else back, makes of an own image.

    Eagerly; the values are those of the pass that made the image, if the
    parameters have the same values still.

    Returns:
      A point and the log-det of this direction; None if the other direction
      of the bijector has not made this very tensor.
    """
    origin = getattr(image, _ATTRIBUTE, None)
    if (
        origin is None
        or origin.forward == forward
        or origin.parameters.bijector() is not bijector
    ):
        return None
    parameters = bijector._constrained_parameters()
    if not origin.parameters.equal(tensors_of(parameters)):
        return None
    known = (
        _detached(origin.preimage),
        _detached(origin.log_dets["fldj" if forward else "ildj"]),
    )
    if not could_possibly_record():
        return _in_full(bijector, image, known)
    return differentiated_anew(bijector, image, forward, known, parameters)


def differentiated_anew(
    bijector: Any,
    image: tf.Tensor,
    forward: bool,
    known: PointAndLogDet,
    parameters: Any,
) -> PointAndLogDet | None:
    """The values `known`, with the derivatives of the map at `image`.

    Any tape may ask for them, with respect to anything: what was recorded
    when `image` was made knows nothing of a dependence on `image`.

    Returns:
      None in forward mode, which needs the map itself.
    """
    if pack_tangents([image, *tensors_of(parameters)]).tangents:
        return None
    compute = (
        bijector._forward_and_log_det
        if forward
        else bijector._inverse_and_log_det
    )

    # If the gradient gets lost (`tf.vectorized_map`), that of `known` is left.
    @tf.custom_gradient
    def evaluate(
        x: tf.Tensor, log_det: tf.Tensor, image: tf.Tensor, *tensors: tf.Tensor
    ) -> Any:
        def gradient(*upstream: tf.Tensor) -> list[tf.Tensor | None]:
            # In a graph the tape does not see what is captured.
            sources = [tf.identity(tensor) for tensor in (image, *tensors)]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                fresh = compute(sources[0], _packed(parameters, sources[1:]))
                fresh = _in_full(bijector, sources[0], fresh)
            gradients = tape.gradient(
                fresh,
                sources,
                output_gradients=upstream,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return [None, None, *gradients]

        return (tf.identity(x), tf.identity(log_det)), gradient

    x, log_det = _in_full(bijector, image, known)
    tensors = filter(_is_differentiable, tensors_of(parameters))
    return tuple(evaluate(x, log_det, image, *tensors))


def tensors_of(parameters: Any) -> list[tf.Tensor]:
    """All tensors among what `_constrained_parameters` returned."""
    return [leaf for leaf in tf.nest.flatten(parameters) if tf.is_tensor(leaf)]


def _in_full(
    bijector: Any, image: tf.Tensor, known: PointAndLogDet
) -> PointAndLogDet:
    """In the shapes of `image` and its batch, which parameters may have given.

    A point `[D]` has an image `[B, D]` under parameters of batch shape `[B]`,
    but no inverse turns `[B, D]` into `[D]`.
    """
    shape = ps.shape(image)
    batch_ndims = ps.rank_from_shape(shape) - int(
        bijector.forward_min_event_ndims
    )
    x, log_det = known
    return (
        _broadcast(x, shape, image.shape),
        _broadcast(log_det, shape[:batch_ndims], image.shape[:batch_ndims]),
    )


def _broadcast(
    tensor: tf.Tensor, shape: Any, static_shape: tf.TensorShape
) -> tf.Tensor:
    if static_shape.is_fully_defined() and tensor.shape == static_shape:
        return tensor
    return tf.broadcast_to(tensor, shape)


def _is_differentiable(leaf: Any) -> bool:
    return tf.is_tensor(leaf) and (
        leaf.dtype.is_floating or leaf.dtype.is_complex
    )


def _packed(parameters: Any, tensors: Sequence[tf.Tensor]) -> Any:
    """`parameters` with these differentiable tensors in it."""
    rest = iter(tensors)
    leaves = tf.nest.flatten(parameters)
    leaves = [next(rest) if _is_differentiable(x) else x for x in leaves]
    return tf.nest.pack_sequence_as(parameters, leaves)


def _detached(tensor: tf.Tensor) -> tf.Tensor:
    with stop_recording():
        return tf.identity(tensor)


def _equal(a: tf.Tensor, b: tf.Tensor) -> bool:
    return a is b or np.array_equal(a.numpy(), b.numpy())
