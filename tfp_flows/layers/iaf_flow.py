"""A stack of inverse autoregressive flows that owns its weights."""

from collections.abc import Sequence
from typing import Any

import keras

from tfp_flows.bijectors import InverseAutoregressive
from tfp_flows.bijectors.inverse_autoregressive import check_update
from tfp_flows.layers.autoregressive_flow import AutoregressiveFlow
from tfp_flows.math.constraints import check_bound

__all__ = ["IAFFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class IAFFlow(AutoregressiveFlow):
    """K inverse autoregressive steps: a sample costs one pass through each.

    See `tfp_flows.bijectors.InverseAutoregressive` and `ConditionedFlow`.
    The density of a point that the flow did not draw costs up to D passes
    through each step, one after the other. Behind the mixing a step starts as
    the identity, a gated one as a contraction by `sigmoid(gate_bias)`.

    Args:
      update: "affine" or "gated". Default: "affine".
      gate_bias: of the gated update. Default: 1.
      max_log_scale: the bound on the log-scale of a step, positive. Default:
        16; Neal's funnel has scales of exp(4.5) three standard deviations out,
        and what tanh bends of them is missing in the tails.

    The other arguments are those of `AutoregressiveFlow`.

    Raises:
      ValueError: an argument breaks its rule.

    References:
      [1]: Diederik Kingma, Tim Salimans, Rafal Jozefowicz, Xi Chen, Ilya
           Sutskever, Max Welling. Improving Variational Inference with Inverse
           Autoregressive Flow. NeurIPS 2016. https://arxiv.org/abs/1606.04934
    """

    BIJECTOR = InverseAutoregressive
    SETTINGS = ("update", "gate_bias", "max_log_scale")
    _num_parameters = 2

    def __init__(
        self,
        num_flow_steps: int,
        hidden_units: Sequence[int] = (64, 64),
        activation: str = "gelu",
        update: str = "affine",
        gate_bias: float = 1.0,
        mixing: str | None = None,
        amortized: bool | None = None,
        seed: int | None = None,
        max_log_scale: float = 16.0,
        **kwargs: Any,
    ) -> None:
        check_update(update)
        check_bound("max_log_scale", max_log_scale)
        super().__init__(
            num_flow_steps,
            hidden_units,
            activation,
            mixing,
            amortized,
            seed,
            **kwargs,
        )
        self.update = update
        self.gate_bias = gate_bias
        self.max_log_scale = max_log_scale
