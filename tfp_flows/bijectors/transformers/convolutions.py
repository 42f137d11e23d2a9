"""Maps of all coordinates together, as one periodic signal."""

import dataclasses
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors.transformers.transformer import (
    Transformer,
    ValueAndTerms,
)

__all__ = ["Convolution", "GatedConvolution"]


@dataclasses.dataclass(frozen=True)
class Convolution(Transformer):
    """Circular convolution, `y = irfft(K rfft(x))`; zeros are the identity.

    Theta is the `unconstrained_spectrum` of `CircularConvolution`.

    Attributes:
      max_log_magnitude: bound on `log|K|`, positive.
    """

    max_log_magnitude: float = math.circulant.MAX_LOG_MAGNITUDE
    num_parameters = 1
    is_elementwise = False

    def __post_init__(self) -> None:
        math.constraints.check_bound(
            "max_log_magnitude", self.max_log_magnitude
        )

    def forward(self, x: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """See the class."""
        y, log_det = math.circulant.forward(x, *self._response(theta))
        return y, log_det[..., tf.newaxis]

    def inverse(self, y: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """`x = irfft(rfft(y) / K)`."""
        x, log_det = math.circulant.inverse(y, *self._response(theta))
        return x, log_det[..., tf.newaxis]

    def _response(self, theta: tf.Tensor) -> math.circulant.Response:
        spectrum = tf.squeeze(theta, axis=-2)
        return math.circulant.response(spectrum, self.max_log_magnitude)


@dataclasses.dataclass(frozen=True)
class GatedConvolution(Transformer):
    """CONF: `y = S_a(conv_k(s x) + t)`, with the gate S-Log of `SLog`.

    Theta is r, `s = exp(c tanh(r / c))`, the `unconstrained_spectrum` of
    `CircularConvolution`, t, and the `unconstrained_slope` of the gate, unless
    `a` is shared.

    Attributes:
      max_log_magnitude: that of `Convolution`.
      max_log_scale: c, positive.
      max_exponent: `a |y|` beyond which the gate is straight, positive.
      has_shared_slope: whether `a`, `[..., N]` or `[..., 1]`, comes beside
        theta, constrained.
    """

    max_log_magnitude: float = math.circulant.MAX_LOG_MAGNITUDE
    max_log_scale: float = 2.0
    max_exponent: float = 3.0
    has_shared_slope: bool = False
    is_elementwise = False

    def __post_init__(self) -> None:
        for name in ("max_log_magnitude", "max_log_scale", "max_exponent"):
            math.constraints.check_bound(name, getattr(self, name))

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        """3, or 4 with the slope."""
        return 3 if self.has_shared_slope else 4

    def forward(
        self, x: tf.Tensor, theta: tf.Tensor, *shared: tf.Tensor
    ) -> ValueAndTerms:
        """See the class."""
        log_scale, response, shift, slope = self._parts(theta, *shared)
        v, log_det = math.circulant.forward(x * tf.exp(log_scale), *response)
        y, gate_log_det = math.s_log.forward(
            v + shift, slope, self.max_exponent
        )
        log_det += tf.reduce_sum(log_scale, axis=-1)
        return y, (log_det + gate_log_det)[..., tf.newaxis]

    def inverse(
        self, y: tf.Tensor, theta: tf.Tensor, *shared: tf.Tensor
    ) -> ValueAndTerms:
        """Undoes gate, shift, convolution and scale."""
        log_scale, response, shift, slope = self._parts(theta, *shared)
        v, gate_log_det = math.s_log.inverse(y, slope, self.max_exponent)
        x, log_det = math.circulant.inverse(v - shift, *response)
        log_det -= tf.reduce_sum(log_scale, axis=-1)
        return x * tf.exp(-log_scale), (gate_log_det + log_det)[..., tf.newaxis]

    def _parts(self, theta: tf.Tensor, *shared: tf.Tensor) -> tuple[Any, ...]:
        if len(shared) != self.has_shared_slope:
            raise ValueError(
                "`has_shared_slope` must be False where no slope is given "
                f"beside theta, else True; got {self.has_shared_slope}."
            )
        log_scale, spectrum, shift, *slope = tf.unstack(theta, axis=-2)
        size = theta.shape[-1]
        for a in shared:
            if a.shape.rank and a.shape[-1] not in (1, size, None):
                raise ValueError(
                    "`unconstrained_slope` must have shape [..., D // 2] = "
                    f"[..., {size}]; got {a.shape}."
                )
        slope = shared or [math.constraints.positive(a) for a in slope]
        return (
            math.constraints.bounded(log_scale, self.max_log_scale),
            math.circulant.response(spectrum, self.max_log_magnitude),
            shift,
            *slope,
        )
