"""A stack of planar flows that owns its weights."""

import math
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.bijectors import Planar
from tfp_flows.layers.flow_layer import FlowLayer
from tfp_flows.math.constraints import check_planar_constraint

__all__ = ["PlanarFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class PlanarFlow(FlowLayer):
    """K planar steps, the identity at initialisation.

    See `tfp_flows.bijectors.Planar`. Initially `u = 0`, while `w` and `b` are
    random and different from step to step: the flow starts as the identity
    (under `constraint="identity"`), `u` has a gradient at once, and `w` and
    `b` have one after the first update.
    """

    def __init__(
        self,
        num_flow_steps: int,
        constraint: str = "identity",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          num_flow_steps: K, the number of steps, at least 1.
          constraint: that of `Planar`. Default: "identity".
          seed: makes the initial weights reproducible. Default: None.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: `num_flow_steps` is not a positive integer, or an unknown
            `constraint`.
        """
        super().__init__(num_flow_steps, seed=seed, **kwargs)
        check_planar_constraint(constraint)
        self.constraint = constraint

    def _parameters(
        self, event_size: int
    ) -> dict[str, tuple[tuple[int, ...], keras.initializers.Initializer]]:
        return {
            "u": ((event_size,), keras.initializers.Zeros()),
            "w": (
                (event_size,),
                keras.initializers.RandomNormal(
                    stddev=1.0 / math.sqrt(event_size),
                    seed=self._initializer_seed(0),
                ),
            ),
            "b": (
                (),
                keras.initializers.RandomNormal(
                    stddev=1.0, seed=self._initializer_seed(1)
                ),
            ),
        }

    def _steps(self, **parameters: tf.Tensor) -> Planar:
        return Planar(**parameters, constraint=self.constraint)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "constraint": self.constraint}
