"""Maps of each coordinate on its own."""

import dataclasses

import tensorflow as tf

from tfp_flows import math
from tfp_flows._arguments import as_integer, as_positive_integer
from tfp_flows.bijectors.transformers.transformer import (
    Transformer,
    ValueAndTerms,
)

__all__ = ["Affine", "DeepSigmoidal", "Gated", "RationalQuadratic", "Shift"]


@dataclasses.dataclass(frozen=True)
class Shift(Transformer):
    """`y = x + t`."""

    num_parameters = 1

    def forward(self, x: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """See the class."""
        y = x + tf.squeeze(theta, axis=-2)
        return y, tf.zeros_like(y)

    def inverse(self, y: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """`x = y - t`."""
        return self.forward(y, -theta)


@dataclasses.dataclass(frozen=True)
class Affine(Transformer):
    """`y = x exp(s) + t`; theta is t, then a, with `s = c tanh(a / c)`.

    Attributes:
      max_log_scale: c, positive.
    """

    max_log_scale: float = 4.0
    num_parameters = 2

    def __post_init__(self) -> None:
        math.constraints.check_bound("max_log_scale", self.max_log_scale)

    def forward(self, x: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """See the class."""
        shift, s = self._shift_and_s(theta)
        return x * tf.exp(s) + shift, s

    def inverse(self, y: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """`x = (y - t) exp(-s)`."""
        shift, s = self._shift_and_s(theta)
        return (y - shift) * tf.exp(-s), -s

    def _shift_and_s(self, theta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, s = tf.unstack(theta, axis=-2)
        return shift, math.constraints.bounded(s, self.max_log_scale)


@dataclasses.dataclass(frozen=True)
class Gated(Affine):
    """`y = g x + (1 - g) t`, `g = sigmoid(s + gate_bias)`, s as in `Affine`.

    Attributes:
      gate_bias: at 1 a network of zeros keeps 73 % of x.
      max_log_scale: c, positive, which bounds s.
    """

    gate_bias: float = 1.0

    def forward(self, x: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """`1 - g` is taken as `sigmoid(-gate)`, without cancellation."""
        candidate, s = self._shift_and_s(theta)
        gate = s + self.gate_bias
        y = tf.sigmoid(gate) * x + tf.sigmoid(-gate) * candidate
        return y, tf.math.log_sigmoid(gate)

    def inverse(self, y: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """`x = (y - t) / g + t`, as `y + exp(-gate) (y - t)`."""
        candidate, s = self._shift_and_s(theta)
        gate = s + self.gate_bias
        x = y + tf.exp(-gate) * (y - candidate)
        return x, -tf.math.log_sigmoid(gate)


@dataclasses.dataclass(frozen=True)
class RationalQuadratic(Transformer):
    """A spline on `[-B, B]`, the identity outside; zeros are the identity.

    Theta is the widths, the heights and the inner slopes of the bins, see
    `math.splines.unpack`.

    Attributes:
      num_bins: at least 2.
      tail_bound: B, positive.
    """

    num_bins: int = 8
    tail_bound: float = 3.0

    def __post_init__(self) -> None:
        num_bins = as_integer("num_bins", self.num_bins, 2)
        object.__setattr__(self, "num_bins", num_bins)
        math.constraints.check_bound("tail_bound", self.tail_bound)

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        """`3 num_bins - 1`."""
        return 3 * self.num_bins - 1

    def forward(self, x: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """See the class."""
        return math.splines.forward(x, self._knots(theta))

    def inverse(self, y: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """In closed form."""
        return math.splines.inverse(y, self._knots(theta))

    def root(self, y: tf.Tensor, theta: tf.Tensor) -> tf.Tensor:
        """X alone."""
        return math.splines.root(y, self._knots(theta))

    def _knots(self, theta: tf.Tensor) -> math.splines.Knots:
        return math.splines.unpack(theta, self.num_bins, self.tail_bound)


@dataclasses.dataclass(frozen=True)
class DeepSigmoidal(Transformer):
    """Mixtures of sigmoids between logits, layer after layer.

    Theta is, layer after layer, the weights, the slopes and the offsets of the
    sigmoids, see `math.sigmoidal.unpack`. Zeros are the identity. The inverse
    is a bracketed root search.

    Attributes:
      num_sigmoids: H, units of each layer, at least 1.
      num_layers: at least 1.
    """

    num_sigmoids: int = 8
    num_layers: int = 1

    def __post_init__(self) -> None:
        for name in ("num_sigmoids", "num_layers"):
            value = as_positive_integer(name, getattr(self, name))
            object.__setattr__(self, name, value)

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        """`3 num_sigmoids num_layers`."""
        return 3 * self.num_sigmoids * self.num_layers

    def forward(self, x: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """See the class."""
        return math.sigmoidal.chain_forward(x, self._layers(theta))

    def inverse(self, y: tf.Tensor, theta: tf.Tensor) -> ValueAndTerms:
        """Its gradients are those of the implicit function."""
        return math.sigmoidal.chain_inverse(y, self._layers(theta))

    def root(self, y: tf.Tensor, theta: tf.Tensor) -> tf.Tensor:
        """X alone."""
        return math.sigmoidal.chain_root(y, self._layers(theta))

    def _layers(self, theta: tf.Tensor) -> tuple[math.sigmoidal.Units, ...]:
        return math.sigmoidal.unpack(theta, self.num_layers)
