"""A stack of planar flows that owns its weights."""

import math
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.bijectors import Planar
from tfp_flows.layers.flow_layer import FlowLayer
from tfp_flows.layers.parameter_head import ParameterSpec
from tfp_flows.math.planar import check_constraint

__all__ = ["PlanarFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class PlanarFlow(FlowLayer):
    """K planar steps, the identity at initialisation.

    See `tfp_flows.bijectors.Planar`. Initially `u = 0`, while `w` and `b` are
    random and different from step to step: the flow starts as the identity
    (under `constraint="identity"`), `u` has a gradient at once, and `w` and
    `b` have one after the first update.

    Args:
      constraint: that of `Planar`. Default: "identity".

    The other arguments are those of `FlowLayer`.

    Raises:
      ValueError: an argument breaks its rule.
    """

    def __init__(
        self,
        num_flow_steps: int,
        constraint: str = "identity",
        amortized: bool | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_flow_steps, amortized=amortized, seed=seed, **kwargs
        )
        check_constraint(constraint)
        self.constraint = constraint

    def _parameter_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        zeros = keras.initializers.Zeros()
        scale = 1.0 / math.sqrt(event_size)
        return {
            "u": ParameterSpec((event_size,), zeros, zeros),
            "w": ParameterSpec(
                (event_size,),
                self._normal(scale, 0),
                self._context_kernel(scale, 2),
            ),
            "b": ParameterSpec(
                (), self._normal(1.0, 1), self._context_kernel(1.0, 3)
            ),
        }

    def _steps(self, **parameters: tf.Tensor) -> Planar:
        return Planar(**parameters, constraint=self.constraint)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "constraint": self.constraint}
