"""A stack of radial flows that owns its weights."""

import keras
import tensorflow as tf

from tfp_flows.bijectors import Radial
from tfp_flows.layers.flow_layer import FlowLayer
from tfp_flows.layers.parameter_head import ParameterSpec

__all__ = ["RadialFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class RadialFlow(FlowLayer):
    """K radial steps, the identity at initialisation.

    See `tfp_flows.bijectors.Radial`. Initially `beta = 0`, while the centres
    are random and different from step to step (equal ones would receive equal
    gradients for ever).
    """

    def _parameter_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        zeros = keras.initializers.Zeros()
        return {
            "z0": ParameterSpec(
                (event_size,),
                self._normal(1.0, 0),
                self._context_kernel(1.0, 1),
            ),
            "unconstrained_alpha": ParameterSpec((), zeros, zeros),
            "unconstrained_beta": ParameterSpec((), zeros, zeros),
        }

    def _steps(self, **parameters: tf.Tensor) -> Radial:
        return Radial(**parameters)
