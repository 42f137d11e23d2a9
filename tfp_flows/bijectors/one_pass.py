"""Value and log-det of any bijector in one pass, in eager mode too."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import Chain, Invert
from tfp_flows.bijectors.flow_bijector import OnePassBijector

__all__ = ["forward_and_log_det", "inverse_and_log_det"]

tfb = tfp.bijectors


@tf.autograph.experimental.do_not_convert
def forward_and_log_det(
    bijector: tfb.Bijector, x: tf.Tensor, event_ndims: int = 1
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log|det dy/dx|)` with `y = bijector.forward(x)`.

    Asked for one after the other, eagerly, each is a pass of its own through
    the networks and loops of a flow; here both come from one. The parts of
    `tfb.Chain` and `tfb.Invert` are walked through; a bijector of another
    library is asked for both. An image of a flow of this package is remembered,
    as one of `forward` is, so that the way back from it is short.

    Args:
      bijector: any.
      x: `[..., *event_shape]`.
      event_ndims: the rank of an event. Default: 1.
    """
    return _walk(bijector, x, event_ndims, "forward")


@tf.autograph.experimental.do_not_convert
def inverse_and_log_det(
    bijector: tfb.Bijector, y: tf.Tensor, event_ndims: int = 1
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log|det dx/dy|)` with `x = bijector.inverse(y)`, in one pass.

    See `forward_and_log_det`.

    Args:
      bijector: any.
      y: `[..., *event_shape]`.
      event_ndims: the rank of an event. Default: 1.
    """
    return _walk(bijector, y, event_ndims, "inverse")


def _walk(
    bijector: tfb.Bijector, x: Any, event_ndims: Any, direction: str
) -> tuple[tf.Tensor, tf.Tensor]:
    is_forward = direction == "forward"
    if isinstance(bijector, Invert):
        opposite = "inverse" if is_forward else "forward"
        return _walk(bijector.bijector, x, event_ndims, opposite)
    if isinstance(bijector, Chain):
        parts = bijector.bijectors
        if not parts:
            x = tf.convert_to_tensor(x)
            return x, tf.zeros([], x.dtype)
        log_det = 0.0
        # It applies the last of its list first.
        for part in reversed(parts) if is_forward else parts:
            x, term = _walk(part, x, event_ndims, direction)
            event_ndims = getattr(part, f"{direction}_event_ndims")(event_ndims)
            log_det += term
        return x, log_det
    if isinstance(bijector, OnePassBijector) and (
        event_ndims == bijector.forward_min_event_ndims
    ):
        # Refuses another dtype, as TFP does.
        x = tf.convert_to_tensor(x, dtype=bijector.dtype)
        return bijector._cache.value_and_log_det(x, direction)
    log_det = getattr(bijector, f"{direction}_log_det_jacobian")
    return getattr(bijector, direction)(x), log_det(x, event_ndims)
