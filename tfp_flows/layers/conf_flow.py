"""A stack of convolutional couplings (CONF) that owns its weights."""

import keras

from tfp_flows.bijectors import ConvolutionCoupling
from tfp_flows.layers.coupling_flow import CouplingFlow
from tfp_flows.layers.parameter_head import ParameterSpec

__all__ = ["CONFFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class CONFFlow(CouplingFlow):
    """K convolutional couplings, behind fixed mixing of the coordinates.

    See `tfp_flows.bijectors.ConvolutionCoupling` and `CouplingFlow`, whose
    arguments are those of this layer. Initially the gates are weak, and nothing
    else moves.

    References:
      [1]: Mahdi Karami, Dale Schuurmans, Jascha Sohl-Dickstein, Laurent Dinh,
           Daniel Duckworth. Invertible Convolutional Flow. NeurIPS 2019.
    """

    BIJECTOR = ConvolutionCoupling
    MIXINGS = ("orthogonal", "permutation")
    _num_parameters = 3

    def _own_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        return {
            "unconstrained_slope": ParameterSpec(
                (event_size // 2,),
                keras.initializers.Constant(-2.0),
                keras.initializers.Zeros(),
            )
        }
