"""A stack of affine couplings that owns its weights."""

import keras

from tfp_flows.bijectors import AffineCoupling
from tfp_flows.layers.coupling_flow import CouplingFlow

__all__ = ["RealNVPFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class RealNVPFlow(CouplingFlow):
    """K affine couplings, behind fixed random permutations, by default.

    See `tfp_flows.bijectors.AffineCoupling` and `CouplingFlow`, whose arguments
    are those of this layer. With `mixing="permutation"` or "none" it starts as
    a permutation or as the identity.

    References:
      [1]: Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio. Density Estimation
           using Real NVP. ICLR 2017. https://arxiv.org/abs/1605.08803
    """

    BIJECTOR = AffineCoupling
    _num_parameters = 2
