"""A stack of neural autoregressive flows that owns its weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows._arguments import check_positive_integer
from tfp_flows.bijectors import NeuralAutoregressive
from tfp_flows.layers.autoregressive_flow import AutoregressiveFlow
from tfp_flows.layers.parameter_head import ParameterSpec

__all__ = ["NAFFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class NAFFlow(AutoregressiveFlow):
    """K neural autoregressive steps: a sample costs one pass through each.

    See `tfp_flows.bijectors.NeuralAutoregressive` and `ConditionedFlow`. The
    offsets of the sigmoids start at random, different from one another, as
    equal ones would have equal gradients for ever; so a step starts near the
    identity, not at it.

    References:
      [1]: Chin-Wei Huang, David Krueger, Alexandre Lacoste, Aaron Courville.
           Neural Autoregressive Flows. ICML 2018.
           https://arxiv.org/abs/1804.00779
    """

    def __init__(
        self,
        num_flow_steps: int,
        hidden_units: Sequence[int] = (64, 64),
        activation: str = "gelu",
        num_sigmoids: int = 8,
        num_layers: int = 1,
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
          num_sigmoids: units of each sigmoidal layer, at least 1. Default: 8.
          num_layers: sigmoidal layers of a step, at least 1. Default: 1.
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
        check_positive_integer("num_sigmoids", num_sigmoids)
        check_positive_integer("num_layers", num_layers)
        super().__init__(
            num_flow_steps,
            hidden_units,
            activation,
            mixing,
            amortized,
            seed,
            **kwargs,
        )
        self.num_sigmoids = num_sigmoids
        self.num_layers = num_layers

    @property
    def _num_outputs(self) -> int:
        return 3 * self.num_sigmoids * self.num_layers

    def _conditioner_specs(
        self, shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, ParameterSpec]:
        specs = super()._conditioner_specs(shapes)
        last = f"bias_{len(self.hidden_units)}"
        specs[last] = specs[last]._replace(initializer=self._normal(1.0, 91))
        return specs

    def _maps(
        self, conditioner_parameters: Mapping[str, tf.Tensor], **own: tf.Tensor
    ) -> NeuralAutoregressive:
        return NeuralAutoregressive(
            self.conditioner,
            conditioner_parameters,
            num_sigmoids=self.num_sigmoids,
            num_layers=self.num_layers,
            **own,
        )

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "num_sigmoids": self.num_sigmoids,
            "num_layers": self.num_layers,
        }
