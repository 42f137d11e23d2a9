"""A stack of spline couplings that owns its weights."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfp_flows.bijectors import SplineCoupling
from tfp_flows.layers.coupling_flow import CouplingFlow
from tfp_flows.layers.spline_settings import SplineSettings

__all__ = ["SplineCouplingFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class SplineCouplingFlow(SplineSettings, CouplingFlow):
    """K couplings by splines; both directions cost one pass through each.

    See `tfp_flows.bijectors.SplineCoupling`, `SplineSettings` and
    `ConditionedFlow`. As it is always the last half of the coordinates that is
    moved, `mixing` must not be "none".

    References:
      [1]: Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios. Neural
           Spline Flows. NeurIPS 2019. https://arxiv.org/abs/1906.04032
    """

    MIXINGS = ("lu", "orthogonal", "permutation")
    DEFAULT_MIXING = "lu"

    def _conditioner_sizes(self, event_size: int) -> tuple[int, int]:
        num_moved = event_size // 2
        outputs = (3 * self.num_bins - 1) * num_moved
        return event_size - num_moved, outputs

    def _maps(
        self, conditioner_parameters: Mapping[str, tf.Tensor], **own: tf.Tensor
    ) -> SplineCoupling:
        return SplineCoupling(
            self.conditioner,
            conditioner_parameters,
            num_bins=self.num_bins,
            tail_bound=self.tail_bound,
            **own,
        )
