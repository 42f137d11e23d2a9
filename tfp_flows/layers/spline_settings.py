"""What the flow layers of splines share: bins and bounds."""

from collections.abc import Sequence
from typing import Any

from tfp_flows.bijectors.transformers import RationalQuadratic
from tfp_flows.layers.conditioned_flow import ConditionedFlow

__all__ = ["SplineSettings"]


class SplineSettings(ConditionedFlow):
    """Steps of splines behind a linear layer.

    A spline is the identity outside of `[-tail_bound, tail_bound]`, so it
    cannot contract what is wider. By default a random permutation and a learned
    matrix `L U` (`tfp_flows.bijectors.LULinear`) stand before each step; behind
    the permutations the layer starts as the identity.

    Args:
      num_bins: bins of each spline, at least 2. Default: 8.
      tail_bound: B, positive; outside of `[-B, B]` is the identity. Default: 3.

    The other arguments are those of `ConditionedFlow`.

    Raises:
      ValueError: an argument breaks its rule.
    """

    SETTINGS = ("num_bins", "tail_bound")

    def __init__(
        self,
        num_flow_steps: int,
        hidden_units: Sequence[int] = (64, 64),
        activation: str = "gelu",
        num_bins: int = 8,
        tail_bound: float = 3.0,
        mixing: str | None = None,
        amortized: bool | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        transformer = RationalQuadratic(num_bins, tail_bound)
        super().__init__(
            num_flow_steps,
            hidden_units,
            activation,
            mixing,
            amortized,
            seed,
            **kwargs,
        )
        self.num_bins = transformer.num_bins
        self.tail_bound = tail_bound
        self._num_parameters = transformer.num_parameters
