"""The way back from the images that a bijector has made itself."""

import dataclasses
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows._tfp import could_possibly_record, stop_recording

__all__ = ["recall", "remember"]

_ATTRIBUTE = "_tfp_flows_origin"


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
    """Notes at `image` what it is the image of, and in which direction."""
    # What a callable reads is not known, nor whether it is still the same.
    if bijector._is_opaque or image is preimage:
        return
    tensors = _tensors(attributes["parameters"])
    latest = _latest.get(id(bijector))
    if (
        latest is None
        or latest.bijector() is not bijector
        or not latest.equal(tensors)
    ):
        latest = _Parameters(weakref.ref(bijector), tensors)
        _latest[id(bijector)] = latest
    setattr(
        image,
        _ATTRIBUTE,
        _Origin(
            forward,
            # A tensor of its own: no chain of images is kept.
            _detached(preimage),
            {name: attributes[name] for name in ("fldj", "ildj")},
            latest,
        ),
    )


def recall(
    bijector: Any, image: tf.Tensor, forward: bool
) -> tuple[tf.Tensor, tf.Tensor] | None:
    """What the direction `forward`, or else back, makes of an own image.

    The values are those of the pass that made the image, if the parameters
    have the same values still. The derivatives are those of the map at `image`:
    any tape may ask for them, with respect to anything.

    Returns:
      A point and the log-det of this direction; None if the other direction
      of the bijector has not made this very tensor.
    """
    origin = getattr(image, _ATTRIBUTE, None)
    if (
        origin is None
        or origin.forward == forward
        or origin.parameters.bijector() is not bijector
        or origin.preimage.shape != image.shape
    ):
        return None
    parameters = bijector._constrained_parameters()
    tensors = _tensors(parameters)
    if not origin.parameters.equal(tensors):
        return None
    log_det = origin.log_dets["fldj" if forward else "ildj"]
    known = [_detached(origin.preimage), _detached(log_det)]
    if not could_possibly_record():
        return known[0], known[1]

    compute = (
        bijector._forward_and_log_det
        if forward
        else bijector._inverse_and_log_det
    )

    @tf.custom_gradient
    def evaluate(image: tf.Tensor, *tensors: tf.Tensor) -> Any:
        def gradient(*upstream: tf.Tensor) -> list[tf.Tensor]:
            # In a graph the tape does not see what is captured.
            sources = [tf.identity(tensor) for tensor in (image, *tensors)]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                fresh = compute(sources[0], _packed(parameters, sources[1:]))
            return tape.gradient(
                fresh,
                sources,
                output_gradients=upstream,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )

        return known, gradient

    x, value = evaluate(image, *filter(_is_differentiable, tensors))
    return x, value


def _tensors(parameters: Any) -> list[tf.Tensor]:
    return [leaf for leaf in tf.nest.flatten(parameters) if tf.is_tensor(leaf)]


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
