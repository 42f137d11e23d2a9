"""Scaling of the coordinates, `tfb.Scale` with events of a known size."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.types import TensorLike

__all__ = ["Scaling"]


class Scaling(DeclaredTensors):
    """Diagonal scaling: `y = exp(log_scale) * x`, log-det `sum(log_scale)`.

    `tfb.Scale` would broadcast a point of one coordinate to D of them.
    """

    _tensors = {"log_scale": 1}

    def __init__(
        self,
        log_scale: TensorLike,
        validate_args: bool = False,
        name: str = "scaling",
    ) -> None:
        """Constructs a scaling, of `log_scale` of shape `[..., D]`."""
        super().__init__(dict(locals()), is_constant_jacobian=True)

    @property
    def log_scale(self) -> Any:
        """Logarithms of the scales, `[..., D]`."""
        return self._log_scale

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
