"""S-Log nonlinearity, `y = sign(x) * log(1 + a * |x|) / a`."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.types import TensorLike

__all__ = ["SLog"]

tfb = tfp.bijectors


class SLog(DeclaredTensors):
    """S-Log: `y = sign(x) * log(1 + a * |x|) / a`, coordinate by coordinate.

    A nonlinearity, without bounds in domain and range, that makes convolutions
    in sequence more than one convolution.

    #### Mathematical details

    With `a = softplus(unconstrained_slope) > 0`, coordinate by coordinate:

    - forward: `y = sign(x) * log(1 + a * |x|) / a`
    - forward log-det: `-sum(log(1 + a * |x|)) = -sum(a * |y|)`
    - inverse: `x = sign(y) * (exp(a * |y|) - 1) / a`
    - inverse log-det: `sum(a * |y|)`

    The log-det is an l1 penalty on the images. The slope is 1 at 0, for every
    `a`; as `a -> 0` the map goes over into the identity.

    Beyond `a * |y| = m`, `m = max_exponent`, that is `a * |x| = exp(m) - 1`
    (8.9e6 for `m = 16`), the curve goes on along its tangent:

        a * |y| = m + (a * |x| + 1) * exp(-m) - 1,    log-det: -m

    #### Shapes

    The event is `[D]`; `unconstrained_slope`: `[..., D]`.

        slope [D]       x [B, D] -> y [B, D]        one map
        slope [B, D]    x [B, D] -> y [B, D]        one per example
        slope [B, D]    x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Always invertible, on the whole line.

    #### Cost

    `O(D)` in both directions, nothing sequential, compiles with XLA.

    #### Numerics

    Value, log-det and all gradients are finite for `|x|` and `|y|` of 1e4 and
    more, in float32 too, where `exp(a * |y|)` is not representable; forward and
    inverse are each other's inverse there as well. Both are right to rounding
    for tiny `a`, and at `x = 0`, where the second derivative jumps from `a`
    to `-a` (0 is returned). `a` itself is at least the smallest normal number.
    The inverse stretches by up to `exp(m)`; a convolution before the map then
    spreads the rounding of what is huge over all coordinates, for which a
    smaller `m` is better (8, say).

    #### Example

    ```python
    import tensorflow_probability as tfp
    import tfp_flows

    tfb, tfd = tfp.bijectors, tfp.distributions
    convolution = tfp_flows.bijectors.CircularConvolution([0.3, 1.0, -0.5])
    flow = tfb.Chain([tfp_flows.bijectors.SLog([0.0, 0.5, 1.0]), convolution])
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0] * 3, [1.0] * 3), flow
    )
    q.log_prob([[2.0, -1.0, 0.0]])  # any points; shape [1], in nats
    ```

    #### References

    [1] M. Karami, D. Schuurmans, J. Sohl-Dickstein, L. Dinh and D. Duckworth.
        Invertible convolutional flow. NeurIPS 2019. Deviations: the straight
        continuation; `a`, positive there, is a softplus.
    """

    _tensors = {"unconstrained_slope": 1}

    def __init__(
        self,
        unconstrained_slope: TensorLike,
        max_exponent: float = math.s_log.MAX_EXPONENT,
        validate_args: bool = False,
        name: str = "s_log",
    ) -> None:
        """Constructs an S-Log map.

        Args:
          unconstrained_slope: `a` before the softplus. Shape `[..., D]`.
          max_exponent: `m`, positive: where the curve becomes straight. Beyond
            the logarithm of the dtype's largest number (88 in float32, 709 in
            float64) the inverse overflows. Default: 16.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "s_log".

        Raises:
          ValueError: `unconstrained_slope` is a scalar or has D = 0, or
            `max_exponent` is not positive and finite; at use, events of
            another size.
          TypeError: a `keras.Variable`, or a dtype other than float32 and
            float64.
        """
        math.constraints.check_bound("max_exponent", max_exponent)
        self._max_exponent = max_exponent
        super().__init__(dict(locals()))

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        return {
            "unconstrained_slope": tfp.util.ParameterProperties(
                event_ndims=1,
                # So that `make_trainable` starts near the identity, a = 0.13.
                default_constraining_bijector_fn=lambda: tfb.Shift(
                    tf.constant(-2.0, dtype)
                ),
            )
        }

    @property
    def unconstrained_slope(self) -> Any:
        """`a` before the softplus, `[..., D]`."""
        return self._unconstrained_slope

    @property
    def max_exponent(self) -> float:
        """`a * |y|` beyond which the curve is straight."""
        return self._max_exponent

    def _constrained(self, *tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (math.constraints.positive(*tensors),)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        (slope,) = parameters
        return math.s_log.forward(x, slope, self._max_exponent)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        (slope,) = parameters
        return math.s_log.inverse(y, slope, self._max_exponent)
