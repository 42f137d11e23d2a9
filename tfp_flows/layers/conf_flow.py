"""A stack of convolutional couplings (CONF) that owns its weights."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfp_flows.bijectors import ConvolutionCoupling
from tfp_flows.layers.coupling_flow import CouplingFlow
from tfp_flows.layers.parameter_head import ParameterSpec

__all__ = ["CONFFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class CONFFlow(CouplingFlow):
    """K convolutional couplings, behind fixed mixing of the coordinates.

    See `tfp_flows.bijectors.ConvolutionCoupling` and `CouplingFlow`, whose
    arguments are those of this layer; as the last half is the one that is
    moved, `mixing` must not be "none". Initially the gates are weak, and
    nothing else moves.

    References:
      [1]: Mahdi Karami, Dale Schuurmans, Jascha Sohl-Dickstein, Laurent Dinh,
           Daniel Duckworth. Invertible Convolutional Flow. NeurIPS 2019.
    """

    MIXINGS = ("orthogonal", "permutation")

    def _conditioner_sizes(self, event_size: int) -> tuple[int, int]:
        num_moved = event_size // 2
        return event_size - num_moved, 3 * num_moved

    def _own_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        return {
            "unconstrained_slope": ParameterSpec(
                (event_size // 2,),
                keras.initializers.Constant(-2.0),
                keras.initializers.Zeros(),
            )
        }

    def _maps(
        self, conditioner_parameters: Mapping[str, tf.Tensor], **own: tf.Tensor
    ) -> ConvolutionCoupling:
        return ConvolutionCoupling(
            self.conditioner, conditioner_parameters, **own
        )
