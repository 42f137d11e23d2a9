"""A stack of affine couplings that owns its weights."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfp_flows.bijectors import AffineCoupling
from tfp_flows.layers.coupling_flow import CouplingFlow

__all__ = ["RealNVPFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class RealNVPFlow(CouplingFlow):
    """K affine couplings, behind fixed random permutations, by default.

    See `tfp_flows.bijectors.AffineCoupling` and `CouplingFlow`, whose arguments
    are those of this layer. The halves that are moved alternate. With
    `mixing="permutation"` or "none" it starts as a permutation or as the
    identity.

    References:
      [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density Estimation
           using Real NVP. ICLR 2017. https://arxiv.org/abs/1605.08803
    """

    def _conditioner_sizes(self, event_size: int) -> tuple[int, int]:
        return event_size, 2 * event_size

    def _maps(
        self, conditioner_parameters: Mapping[str, tf.Tensor], **own: tf.Tensor
    ) -> AffineCoupling:
        return AffineCoupling(
            self.conditioner,
            conditioner_parameters,
            mask=self._alternating_masks(conditioner_parameters["kernel_0"]),
            **own,
        )
