"""The coupling of convolutional flows: scale, convolve, shift, S-Log."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows.bijectors import transformers
from tfp_flows.bijectors._conditioned_bijector import (
    ConditionerLike,
    composite_if_declared,
    setting,
)
from tfp_flows.bijectors.split_coupling import SplitCoupling
from tfp_flows.types import TensorLike

__all__ = ["ConvolutionCoupling"]


@composite_if_declared
class ConvolutionCoupling(SplitCoupling):
    """CONF block: `y = [x_1, S_a(conv_k(s * x_2) + t)]`, by `s, k, t` of `x_1`.

    The first part of the coordinates passes unchanged and chooses, through a
    network, how the rest is scaled, convolved and shifted, before the
    nonlinear gate `SLog`.

    #### Mathematical details

    `x_2` holds the last `M = D // 2` coordinates, `x_1` the others. The
    conditioner maps `x_1` to `(r, A, t)`; `s = exp(c * tanh(r / c))` with
    `c = max_log_scale`, and `A` is the `unconstrained_spectrum` of
    `CircularConvolution`, which gives the response `K`. With
    `v = irfft(K * rfft(s * x_2)) + t` and `a = softplus(unconstrained_slope)`:

    - forward: `y_1 = x_1`, `y_2 = sign(v) * log(1 + a * |v|) / a`
    - forward log-det: `sum(log(s)) + sum_n log|K(n)| - sum(a * |y_2|)`
    - inverse: `v = sign(y_2) * (exp(a * |y_2|) - 1) / a`,
      `x_2 = irfft(rfft(v - t) / K) / s`
    - inverse log-det: minus the forward log-det there

    For huge values the gate goes on along its tangent, see `SLog`.

    #### Shapes

    The event is `[D]`, D >= 2; the conditioner maps `[..., D - M]` to
    `[..., 3 M]`. `unconstrained_slope`: `[..., M]`; `context`: `[..., C]`; of
    `conditioner_parameters`, a kernel is `[..., I, O]`, a bias `[..., O]`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example
        kernels [I, O], bias_0 [B, O]    x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Always invertible: scales and `|K|` are bounded.

    #### Cost

    That of the conditioner and `O(D log D)`, in both directions. Nothing is
    sequential in D; compiles with XLA.

    #### Numerics

    A conditioner that returns zeros leaves the gate alone.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    conditioner = tfp_flows.bijectors.MLPConditioner(hidden_units=(16,))
    shapes = conditioner.parameter_shapes(input_size=3, output_size=6)
    flow = tfp_flows.bijectors.ConvolutionCoupling(
        conditioner,
        {name: tf.random.normal(shape) for name, shape in shapes.items()},
        unconstrained_slope=[-1.0, -1.0],
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(5), tf.ones(5)), flow
    )
    q.log_prob(tf.ones([3, 5]))  # any points; shape [3], in nats
    ```

    #### References

    [1] M. Karami, D. Schuurmans, J. Sohl-Dickstein, L. Dinh and D. Duckworth.
        Invertible convolutional flow. NeurIPS 2019. Deviations: the network
        gives the spectrum, bounded away from zero, not the kernel; scales are
        positive and bounded; `a` does not depend on `x_1`.
    """

    _shared = ("unconstrained_slope",)

    def __init__(  # noqa: D417 -- the others are those of the base
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        unconstrained_slope: TensorLike = -2.0,
        context: TensorLike | None = None,
        max_log_magnitude: float = math.circulant.MAX_LOG_MAGNITUDE,
        max_log_scale: float = 2.0,
        max_exponent: float = 3.0,
        validate_args: bool = False,
        name: str = "convolution_coupling",
    ) -> None:
        """Constructs a convolutional coupling.

        Args:
          conditioner: its outputs are of size 3 M.
          unconstrained_slope: `a` before the softplus. Shape `[..., M]` or,
            shared by all coordinates, `[..., 1]` or a scalar. Default: -2, a
            weak gate.
          max_log_magnitude: that of `CircularConvolution`. Default: 3.
          max_log_scale: `c`, positive. Default: 2.
          max_exponent: `a * |y_2|` beyond which the gate is straight. What the
            inverse of the gate blows up, the convolution spreads, with its
            rounding, over all coordinates, and a stack does so again and again.
            Default: 3, straight beyond `a * |v| = 19`.

        The others but `name`, what a conditioner may be, and what is refused
        with a TypeError or a ValueError: see `SplitCoupling`.

        Raises:
          ValueError: a bound is not positive; at use, another number of slopes
            than M.
        """
        parameters = dict(locals())
        transformer = transformers.GatedConvolution(
            max_log_magnitude, max_log_scale, max_exponent, True
        )
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            transformer,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    max_log_magnitude = setting(
        "max_log_magnitude",
        "The bound on the logarithm of the response's magnitude.",
    )
    max_log_scale = setting("max_log_scale", "The bound on the log-scales.")
    max_exponent = setting(
        "max_exponent", "`a * |y_2|` beyond which the gate is straight."
    )

    @property
    def unconstrained_slope(self) -> Any:
        """`a` before the softplus, `[..., M]`."""
        return self._unconstrained_slope

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        return {
            **super()._parameter_properties(dtype),
            "unconstrained_slope": tfp.util.ParameterProperties(
                event_ndims=1, is_preferred=False
            ),
        }

    def _constrain(self, name: str, value: tf.Tensor) -> tf.Tensor:
        if name == "unconstrained_slope":
            return math.constraints.positive(value)
        return value
