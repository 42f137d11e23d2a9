"""A stack of additive couplings that owns its weights."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import AdditiveCoupling
from tfp_flows.bijectors._scaling import Scaling
from tfp_flows.layers.coupling_flow import CouplingFlow
from tfp_flows.layers.flow_layer import last_axis
from tfp_flows.layers.parameter_head import ParameterHead, ParameterSpec

__all__ = ["NICEFlow"]

tfb = tfp.bijectors


@keras.saving.register_keras_serializable(package="tfp_flows")
class NICEFlow(CouplingFlow):
    """K additive couplings, behind fixed random mixing of the coordinates.

    See `tfp_flows.bijectors.AdditiveCoupling` and `CouplingFlow`. Volumes are
    kept, unless `scaling` ends the flow with `y = exp(log_scale) * x`, whose
    log-det is `sum(log_scale)`, of either sign.

    Args:
      mixing: "orthogonal" (NICE-ortho), "permutation" (NICE-perm) or "none".
        Default: "orthogonal".
      scaling: whether to end with a diagonal scaling, amortized if the
        conditioners are. Default: False.

    The other arguments are those of `CouplingFlow`.

    Raises:
      ValueError: an argument breaks its rule.

    References:
      [1]: Laurent Dinh, David Krueger, Yoshua Bengio. NICE: Non-linear
           Independent Components Estimation. ICLR workshop 2015.
           https://arxiv.org/abs/1410.8516
      [2]: Danilo Rezende, Shakir Mohamed. Variational Inference with
           Normalizing Flows. ICML 2015, section 4 and Figure 3 (NICE with
           orthogonal matrices or permutations between the couplings).
           https://arxiv.org/abs/1505.05770
    """

    BIJECTOR = AdditiveCoupling
    _num_parameters = 1

    def __init__(
        self,
        num_flow_steps: int,
        hidden_units: Sequence[int] = (64, 64),
        activation: str = "gelu",
        mixing: str = "orthogonal",
        scaling: bool = False,
        amortized: bool | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_flow_steps,
            hidden_units,
            activation,
            mixing,
            amortized=amortized,
            seed=seed,
            **kwargs,
        )
        self.scaling = scaling

    def build(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        """Makes the weights, see `FlowLayer`."""
        super().build(inputs_shape, context_shape)
        if self.scaling:
            zeros = keras.initializers.Zeros()
            event_size = last_axis("inputs_shape", inputs_shape)
            self._scaling = ParameterHead(
                {"log_scale": ParameterSpec((event_size,), zeros, zeros)},
                context_scale=self.effective_context_scale,
                dtype=self.dtype_policy,
                name="scaling",
            )
            self._scaling.build(
                None if self.amortized is False else context_shape
            )

    def parameters(
        self, context: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """As in `FlowLayer`; `log_scale` is `[(B,) D]`, without K."""
        parameters = super().parameters(context)
        if self.scaling:
            parameters |= self._scaling.parameters(context)
        return parameters

    @property
    def is_scan(self) -> bool:
        """Whether no scaling stands behind the steps."""
        return not self.scaling

    def _composed(self, parameters: dict[str, tf.Tensor]) -> tfb.Bijector:
        parameters = dict(parameters)
        log_scale = parameters.pop("log_scale", None)
        flow = super()._composed(parameters)
        if log_scale is None:
            return flow
        return tfb.Chain([Scaling(log_scale), flow])

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "scaling": self.scaling}
