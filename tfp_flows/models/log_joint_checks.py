"""What a `LogJointModel` asks of a user's log density and its support."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.models import supports

__all__ = [
    "bijector_onto",
    "check_log_det",
    "check_log_joint",
    "check_returned",
]

tfb = tfp.bijectors


def check_log_joint(log_joint: Any) -> None:
    """Raises unless it can be called with examples and latent variables."""
    if not callable(log_joint):
        raise TypeError(
            "`log_joint` must be a function or a layer of examples and latent "
            f"variables; got {log_joint!r}."
        )
    if isinstance(log_joint, keras.layers.Layer):
        names = list(inspect.signature(log_joint.call).parameters)[:2]
        if len(names) < 2 or names[1] in ("training", "mask"):
            raise TypeError(
                "`log_joint` must have `call(x, z)`, if it is a layer; got "
                f"`call` of {', '.join(names)}."
            )


def check_returned(
    found: Any,
    wanted: tuple[int, int],
    shapes: Sequence[tuple[int, ...]],
    dtype: str,
) -> None:
    """Raises unless it returned a number for each draw and example.

    Args:
      found: what it returned.
      wanted: numbers of draws and of examples.
      shapes: of the examples and the latent variables that it was given.
      dtype: that of the model.
    """
    shape = getattr(found, "shape", None)
    got = found if shape is None else f"shape {shape}"
    if shape is None or tf.TensorShape(shape).rank is None:
        sizes = None
    else:
        sizes = tuple(shape)
    if sizes != wanted:
        raise ValueError(
            "`log_joint` must return one number for each draw and example, "
            f"of shape [S, B] = [{wanted[0]}, {wanted[1]}] for examples of "
            f"shape {shapes[0]} and latent variables of shape {shapes[1]}; got "
            f"{got}."
        )
    if tf.as_dtype(found.dtype) != tf.as_dtype(dtype):
        raise ValueError(
            f"`log_joint` must return {dtype}, as the model computes in; "
            f"got {tf.as_dtype(found.dtype).name}."
        )


def check_log_det(
    bijector: tfb.Bijector, shape: tuple[int, ...], dtype: str
) -> None:
    """Raises unless a support's bijector takes y, and has one log-det each."""

    def both(y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        log_det = bijector.forward_log_det_jacobian(y, event_ndims=1)
        # Of maps of volume one it is a scalar.
        return bijector.forward(y), log_det + tf.zeros_like(y[..., 0])

    try:
        tf.function(both, autograph=False).get_concrete_function(
            tf.TensorSpec(shape, dtype)
        )
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            f"`support` must be that of vectors of {shape[-1]} numbers in "
            f"{dtype}; got {type(error).__name__}: {error}"
        ) from error


def bijector_onto(support: Any, latent_size: int) -> tfb.Bijector:
    """From R^D onto the support; raises if it is none of D dimensions."""
    size = latent_size
    if support == "simplex":
        size += 1
    elif isinstance(support, tfb.Bijector) and support.forward_min_event_ndims:
        if support.inverse_min_event_ndims == 1:
            size = int(support.forward_event_shape([latent_size])[-1])
    elif isinstance(support, list | tuple):
        size = len(support) or latent_size
    found = supports.get(support, size)
    if found.circular:
        raise ValueError(
            "`support` must have no 'circular' variables, as a posterior on "
            f"R^D has no density on a circle; got {support!r}."
        )
    needed = int(found.bijector.inverse_event_shape([size])[-1])
    if needed != latent_size:
        raise ValueError(
            "`support` must be that of the posterior's variables, "
            f"`posterior.latent_size` = {latent_size}; got one of {needed}."
        )
    return found.bijector
