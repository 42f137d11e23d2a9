"""A stack of autoregressive splines that owns its weights."""

import keras

from tfp_flows.bijectors import SplineAutoregressive
from tfp_flows.layers.autoregressive_flow import AutoregressiveFlow
from tfp_flows.layers.spline_settings import SplineSettings

__all__ = ["SplineAutoregressiveFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class SplineAutoregressiveFlow(SplineSettings, AutoregressiveFlow):
    """K steps of autoregressive splines: a sample costs one pass through each.

    See `tfp_flows.bijectors.SplineAutoregressive`, `AutoregressiveFlow` and
    `SplineSettings`, whose arguments are those of this layer.

    References:
      [1]: Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios. Neural
           Spline Flows. NeurIPS 2019. https://arxiv.org/abs/1906.04032
      [2]: Danilo Jimenez Rezende, George Papamakarios, Sebastien Racaniere,
           Michael S. Albergo, Gurtej Kanwar, Phiala E. Shanahan, Kyle Cranmer.
           Normalizing Flows on Tori and Spheres. ICML 2020.
           https://arxiv.org/abs/2002.02428, of circular coordinates
    """

    BIJECTOR = SplineAutoregressive
    DEFAULT_MIXING = "lu"
