"""A stack of inverse autoregressive flows that owns its weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.bijectors import InverseAutoregressive
from tfp_flows.bijectors.inverse_autoregressive import check_update
from tfp_flows.layers.autoregressive_flow import AutoregressiveFlow

__all__ = ["IAFFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class IAFFlow(AutoregressiveFlow):
    """K inverse autoregressive steps: a sample costs one pass through each.

    See `tfp_flows.bijectors.InverseAutoregressive` and `ConditionedFlow`.
    The density of a point that the flow did not draw costs up to D passes
    through each step, one after the other. Behind the mixing a step starts as
    the identity, a gated one as a contraction by `sigmoid(gate_bias)`.

    References:
      [1]: Diederik Kingma, Tim Salimans, Rafal Jozefowicz, Xi Chen, Ilya
           Sutskever, Max Welling. Improving Variational Inference with Inverse
           Autoregressive Flow. NeurIPS 2016. https://arxiv.org/abs/1606.04934
    """

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
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          num_flow_steps: K, the number of steps, at least 1.
          hidden_units: sizes of the hidden layers of each network, at least D.
          activation: that of `MADEConditioner`. Default: "gelu".
          update: "affine" or "gated". Default: "affine".
          gate_bias: of the gated update. Default: 1.
          mixing: what stands before each step: "reverse" (the default),
            "permutation", "orthogonal", "lu" or "none".
          amortized: whether the networks depend on a context. Default: None,
            they do if the layer is built with one.
          seed: makes the initial weights and the mixing reproducible.
          **kwargs: `context_scale` and `inverted` of `FlowLayer`, and those
            of `keras.layers.Layer`.

        Raises:
          ValueError: an argument breaks its rule; at `build`, hidden layers
            smaller than D.
        """
        check_update(update)
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

    @property
    def _num_outputs(self) -> int:
        return 2

    def _maps(
        self, conditioner_parameters: Mapping[str, tf.Tensor], **own: tf.Tensor
    ) -> InverseAutoregressive:
        return InverseAutoregressive(
            self.conditioner,
            conditioner_parameters,
            update=self.update,
            gate_bias=self.gate_bias,
            **own,
        )

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "update": self.update,
            "gate_bias": self.gate_bias,
        }
