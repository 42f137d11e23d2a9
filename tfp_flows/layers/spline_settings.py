"""What the flow layers of splines share: bins and bounds."""

from collections.abc import Sequence
from typing import Any

from tfp_flows.layers.conditioned_flow import ConditionedFlow
from tfp_flows.math import splines

__all__ = ["SplineSettings"]


class SplineSettings(ConditionedFlow):
    """Steps of splines behind a linear layer.

    A spline is the identity outside of `[-tail_bound, tail_bound]`, so it
    cannot contract what is wider. By default a random permutation and a learned
    matrix `L U` (`tfp_flows.bijectors.LULinear`) stand before each step; behind
    the permutations the layer starts as the identity.
    """

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
        """Constructs the layer.

        Args:
          num_flow_steps: K, the number of steps, at least 1.
          hidden_units: sizes of the hidden layers of each network; of an
            autoregressive one at least D.
          activation: of the networks. Default: "gelu".
          num_bins: bins of each spline, at least 2. Default: 8.
          tail_bound: B, positive; outside of `[-B, B]` is the identity.
            Default: 3.
          mixing: what stands before each step, one of the layer's `MIXINGS`.
            Default: None, "lu".
          amortized: whether the networks depend on a context. Default: None,
            they do if the layer is built with one.
          seed: makes the initial weights and the mixing reproducible.
          **kwargs: `context_scale` and `inverted` of `FlowLayer`, and those
            of `keras.layers.Layer`.

        Raises:
          ValueError: an argument breaks its rule; at `build`, hidden layers
            of an autoregressive network that are smaller than D.
        """
        splines.check_settings(num_bins, tail_bound)
        super().__init__(
            num_flow_steps,
            hidden_units,
            activation,
            mixing,
            amortized,
            seed,
            **kwargs,
        )
        self.num_bins = num_bins
        self.tail_bound = tail_bound

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "tail_bound": self.tail_bound,
        }
