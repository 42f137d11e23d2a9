"""A stack of masked autoregressive flows that owns its weights."""

import keras

from tfp_flows.bijectors import MaskedAutoregressive
from tfp_flows.layers.autoregressive_flow import AutoregressiveFlow

__all__ = ["MAFFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class MAFFlow(AutoregressiveFlow):
    """K masked autoregressive steps: a density costs one pass through each.

    See `tfp_flows.bijectors.MaskedAutoregressive` and `ConditionedFlow`, whose
    arguments are those of this layer. Made for densities of given points: of a
    prior, or of data. A sample costs up to D passes through each step, one
    after the other, so that as a posterior `IAFFlow` is the fast one. Behind
    the mixing a step starts as the identity.

    References:
      [1]: George Papamakarios, Theo Pavlakou, Iain Murray. Masked
           Autoregressive Flow for Density Estimation. NeurIPS 2017.
           https://arxiv.org/abs/1705.07057
    """

    BIJECTOR = MaskedAutoregressive
    FAST_DIRECTION = "inverse"
    _num_parameters = 2
