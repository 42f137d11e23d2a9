"""A stack of data-adaptive convolutions that owns its weights."""

import keras

from tfp_flows.bijectors import DataAdaptiveConvolution
from tfp_flows.layers.coupling_flow import CouplingFlow

__all__ = ["DataAdaptiveFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class DataAdaptiveFlow(CouplingFlow):
    """K data-adaptive convolutions, behind fixed mixing of the coordinates.

    See `tfp_flows.bijectors.DataAdaptiveConvolution` and `CouplingFlow`, whose
    arguments are those of this layer.

    References:
      [1]: Mahdi Karami, Dale Schuurmans, Jascha Sohl-Dickstein, Laurent Dinh,
           Daniel Duckworth. Invertible Convolutional Flow. NeurIPS 2019.
    """

    BIJECTOR = DataAdaptiveConvolution
    MIXINGS = ("orthogonal", "permutation")
    _num_parameters = 1
