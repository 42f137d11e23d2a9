"""A stack of neural autoregressive flows that owns its weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfp_flows.bijectors import NeuralAutoregressive
from tfp_flows.bijectors.transformers import DeepSigmoidal
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

    Args:
      num_sigmoids: units of each sigmoidal layer, at least 1. Default: 8.
      num_layers: sigmoidal layers of a step, at least 1. Default: 1.

    The other arguments are those of `AutoregressiveFlow`.

    Raises:
      ValueError: an argument breaks its rule.

    References:
      [1]: Chin-Wei Huang, David Krueger, Alexandre Lacoste, Aaron Courville.
           Neural Autoregressive Flows. ICML 2018.
           https://arxiv.org/abs/1804.00779
    """

    BIJECTOR = NeuralAutoregressive
    SETTINGS = ("num_sigmoids", "num_layers")

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
        transformer = DeepSigmoidal(num_sigmoids, num_layers)
        super().__init__(
            num_flow_steps,
            hidden_units,
            activation,
            mixing,
            amortized,
            seed,
            **kwargs,
        )
        self.num_sigmoids = transformer.num_sigmoids
        self.num_layers = transformer.num_layers
        self._num_parameters = transformer.num_parameters

    def _conditioner_specs(
        self, shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, ParameterSpec]:
        specs = super()._conditioner_specs(shapes)
        last = f"bias_{len(self.hidden_units)}"
        specs[last] = specs[last]._replace(initializer=self._normal(1.0, 91))
        return specs
