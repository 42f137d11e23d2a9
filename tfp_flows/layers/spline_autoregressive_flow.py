"""A stack of autoregressive splines that owns its weights."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfp_flows.bijectors import SplineAutoregressive
from tfp_flows.layers.autoregressive_flow import AutoregressiveFlow
from tfp_flows.layers.spline_settings import SplineSettings

__all__ = ["SplineAutoregressiveFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class SplineAutoregressiveFlow(SplineSettings, AutoregressiveFlow):
    """K steps of autoregressive splines: a sample costs one pass through each.

    See `tfp_flows.bijectors.SplineAutoregressive`, `SplineSettings` and
    `ConditionedFlow`.

    References:
      [1]: Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios. Neural
           Spline Flows. NeurIPS 2019. https://arxiv.org/abs/1906.04032
    """

    DEFAULT_MIXING = "lu"

    @property
    def _num_outputs(self) -> int:
        return 3 * self.num_bins - 1

    def _maps(
        self, conditioner_parameters: Mapping[str, tf.Tensor], **own: tf.Tensor
    ) -> SplineAutoregressive:
        return SplineAutoregressive(
            self.conditioner,
            conditioner_parameters,
            num_bins=self.num_bins,
            tail_bound=self.tail_bound,
            **own,
        )
