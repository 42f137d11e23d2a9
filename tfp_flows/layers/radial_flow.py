"""A stack of radial flows that owns its weights."""

import keras
import tensorflow as tf

from tfp_flows.bijectors import Radial
from tfp_flows.layers.flow_layer import FlowLayer

__all__ = ["RadialFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class RadialFlow(FlowLayer):
    """K radial steps, the identity at initialisation.

    See `tfp_flows.bijectors.Radial`. Initially `beta = 0`, while the centres
    are random and different from step to step (equal ones would receive equal
    gradients for ever).
    """

    def _parameters(
        self, event_size: int
    ) -> dict[str, tuple[tuple[int, ...], keras.initializers.Initializer]]:
        return {
            "z0": (
                (event_size,),
                keras.initializers.RandomNormal(
                    stddev=1.0, seed=self._initializer_seed(0)
                ),
            ),
            "unconstrained_alpha": ((), keras.initializers.Zeros()),
            "unconstrained_beta": ((), keras.initializers.Zeros()),
        }

    def _steps(self, **parameters: tf.Tensor) -> Radial:
        return Radial(**parameters)
