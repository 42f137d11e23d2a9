"""A stack of data-adaptive convolutions that owns its weights."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfp_flows.bijectors import DataAdaptiveConvolution
from tfp_flows.layers.coupling_flow import CouplingFlow

__all__ = ["DataAdaptiveFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class DataAdaptiveFlow(CouplingFlow):
    """K data-adaptive convolutions, behind fixed mixing of the coordinates.

    See `tfp_flows.bijectors.DataAdaptiveConvolution` and `CouplingFlow`, whose
    arguments are those of this layer; as the last half is the one that is
    moved, `mixing` must not be "none".

    References:
      [1]: Mahdi Karami, Dale Schuurmans, Jascha Sohl-Dickstein, Laurent Dinh,
           Daniel Duckworth. Invertible Convolutional Flow. NeurIPS 2019.
    """

    MIXINGS = ("orthogonal", "permutation")

    def _conditioner_sizes(self, event_size: int) -> tuple[int, int]:
        num_moved = event_size // 2
        return event_size - num_moved, num_moved

    def _maps(
        self, conditioner_parameters: Mapping[str, tf.Tensor], **own: tf.Tensor
    ) -> DataAdaptiveConvolution:
        return DataAdaptiveConvolution(
            self.conditioner, conditioner_parameters, **own
        )
