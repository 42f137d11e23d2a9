"""Scaling of the coordinates, `tfb.Scale` with events of a known size."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.parameters import (
    check_same_event_size,
    convert_parameters,
    last_axis,
)
from tfp_flows.types import TensorLike

__all__ = ["Scaling"]


class Scaling(FlowBijector):
    """Diagonal scaling: `y = exp(log_scale) * x`, log-det `sum(log_scale)`.

    `tfb.Scale` would broadcast a point of one coordinate to D of them.
    """

    def __init__(
        self,
        log_scale: TensorLike,
        validate_args: bool = False,
        name: str = "scaling",
    ) -> None:
        """Constructs a scaling, of `log_scale` of shape `[..., D]`."""
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self._log_scale = convert_parameters(log_scale=log_scale)[
                "log_scale"
            ]
            check_same_event_size(log_scale=self._log_scale)
            super().__init__(
                forward_min_event_ndims=1,
                dtype=self._log_scale.dtype,
                is_constant_jacobian=True,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype  # The same for every dtype.
        return {"log_scale": tfp.util.ParameterProperties(event_ndims=1)}

    @property
    def log_scale(self) -> Any:
        """Logarithms of the scales, `[..., D]`."""
        return self._log_scale

    def _event_size(self) -> int | None:
        return last_axis(self._log_scale)

    def _constrained_parameters(self) -> tuple[tf.Tensor, ...]:
        return (tf.convert_to_tensor(self._log_scale),)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        (log_scale,) = parameters
        return _scaled(x, log_scale)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        (log_scale,) = parameters
        return _scaled(y, -log_scale)


def _scaled(x: tf.Tensor, log_scale: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    y = tf.exp(log_scale) * x
    return y, tf.reduce_sum(log_scale + tf.zeros_like(y), axis=-1)
