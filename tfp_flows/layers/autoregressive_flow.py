"""The base class of the flow layers whose steps are autoregressive."""

from collections.abc import Mapping

from tfp_flows.bijectors import MADEConditioner
from tfp_flows.layers.conditioned_flow import ConditionedFlow

__all__ = ["AutoregressiveFlow"]


class AutoregressiveFlow(ConditionedFlow):
    """K autoregressive maps, before each of which coordinates are mixed.

    The arguments are those of `ConditionedFlow`; the hidden layers have at
    least as many units as there are coordinates. The order of the coordinates
    is reversed before each step, if `mixing` says nothing else.
    """

    DEFAULT_MIXING = "reverse"

    def _conditioner_shapes(
        self, event_size: int
    ) -> Mapping[str, tuple[int, ...]]:
        self.conditioner = MADEConditioner(
            event_size,
            self._num_parameters,
            self.hidden_units,
            self.activation,
            num_inputs=self._num_features,
        )
        return self.conditioner.parameter_shapes()
