"""A stack of Householder reflections that owns its weights."""

import math
from typing import Any

import keras
import tensorflow as tf

from tfp_flows._arguments import as_positive_integer
from tfp_flows.bijectors import Householder
from tfp_flows.layers.flow_layer import FlowLayer
from tfp_flows.layers.parameter_head import ParameterSpec

__all__ = ["HouseholderFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class HouseholderFlow(FlowLayer):
    """K orthogonal maps, each a product of learned reflections.

    See `tfp_flows.bijectors.Householder`. Amortized, behind a Gaussian with a
    diagonal covariance, it makes one with a full covariance of it. Initially
    the reflections are random.

    Args:
      num_householder_reflections: H, of each step, at least 1. K steps of H
        reflections and one step of K times as many are the same map; the second
        needs no loop. Default: 1.

    The other arguments are those of `FlowLayer`.

    Raises:
      ValueError: an argument breaks its rule.

    References:
      [1]: Jakub Tomczak, Max Welling. Improving Variational Auto-Encoders using
           Householder Flow. 2016. https://arxiv.org/abs/1611.09630. Deviation:
           each vector is a function of the context alone, not of the vector
           before it.
    """

    def __init__(
        self,
        num_flow_steps: int,
        num_householder_reflections: int = 1,
        amortized: bool | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_flow_steps, amortized=amortized, seed=seed, **kwargs
        )
        self.num_householder_reflections = as_positive_integer(
            "num_householder_reflections", num_householder_reflections
        )

    def _parameter_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        scale = 1.0 / math.sqrt(event_size)
        return {
            "vectors": ParameterSpec(
                (self.num_householder_reflections, event_size),
                self._normal(scale, 0),
                self._context_kernel(scale, 1),
            )
        }

    def _steps(self, **parameters: tf.Tensor) -> Householder:
        return Householder(**parameters)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "num_householder_reflections": self.num_householder_reflections,
        }
