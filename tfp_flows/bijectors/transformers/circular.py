"""Splines of coordinates that are points of a circle."""

import dataclasses
import math
from collections.abc import Sequence

import tensorflow as tf

from tfp_flows._arguments import as_coordinates, as_integer
from tfp_flows.bijectors.transformers.transformer import (
    Transformer,
    ValueAndTerms,
)
from tfp_flows.math import circles, circular_splines, constraints

__all__ = ["CircularRationalQuadratic"]


@dataclasses.dataclass(frozen=True)
class CircularRationalQuadratic(Transformer):
    """A spline of the circle `[-B, B)`; zeros are the identity.

    Theta is the widths, the heights and the slopes of the bins and the two
    phases of `math.circular_splines.curve`. Conditioners read the cosine and
    the sine of a coordinate, so that what they compute is continuous on the
    circle.

    Where not all coordinates are circular, zeros and ones come beside theta,
    `[..., N]`: ones for those that are. The others go through the spline of
    `RationalQuadratic`, and are read as they are.

    Attributes:
      num_bins: at least 2.
      half_width: B, positive.
      tail_bound: that of `RationalQuadratic`, for the others.
      circular: True if all coordinates are circular, or the indices of those
        that are.
    """

    num_bins: int = 8
    half_width: float = math.pi
    tail_bound: float = 3.0
    circular: bool | Sequence[int] = True
    num_features = 2

    def __post_init__(self) -> None:
        num_bins = as_integer("num_bins", self.num_bins, 2)
        object.__setattr__(self, "num_bins", num_bins)
        for name in ("half_width", "tail_bound"):
            constraints.check_bound(name, getattr(self, name))
        circular = as_coordinates("circular", self.circular)
        if circular is False:
            raise ValueError(
                "`circular` must be True or the indices of some coordinates; "
                "got False."
            )
        object.__setattr__(self, "circular", circular)

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        """`3 num_bins + 2`."""
        return 3 * self.num_bins + circular_splines.NUM_PHASES

    def kinds(
        self, event_size: int | None, dtype: tf.DType
    ) -> tuple[tf.Tensor, ...]:
        """Ones for the circular coordinates, if not all are."""
        if isinstance(self.circular, bool):
            return ()
        if event_size is None or max(self.circular) >= event_size:
            raise ValueError(
                "`circular` must hold indices of the coordinates, whose "
                f"number is {event_size}; got {self.circular}."
            )
        return (
            tf.reduce_sum(
                tf.one_hot(self.circular, event_size, dtype=dtype), axis=0
            ),
        )

    def features(self, x: tf.Tensor, *circular: tf.Tensor) -> tf.Tensor:
        """Cosines, then sines; of the others x, then zeros."""
        cosine, sine = circles.cosine_and_sine(x, self.half_width)
        for ones in circular:
            is_circular = ones > 0.5
            cosine = tf.where(is_circular, cosine, x)
            sine = tf.where(is_circular, sine, 0.0)
        return tf.concat([cosine, sine], axis=-1)

    def wrapped(self, x: tf.Tensor, *circular: tf.Tensor) -> tf.Tensor:
        """Circular coordinates in `[-B, B)`."""
        y = circles.wrap(x, self.half_width)
        for ones in circular:
            y = tf.where(ones > 0.5, y, x)
        return y

    def forward(
        self, x: tf.Tensor, theta: tf.Tensor, *circular: tf.Tensor
    ) -> ValueAndTerms:
        """See the class."""
        return circular_splines.forward(x, *self._curve(theta, *circular))

    def inverse(
        self, y: tf.Tensor, theta: tf.Tensor, *circular: tf.Tensor
    ) -> ValueAndTerms:
        """In closed form."""
        return circular_splines.inverse(y, *self._curve(theta, *circular))

    def root(
        self, y: tf.Tensor, theta: tf.Tensor, *circular: tf.Tensor
    ) -> tf.Tensor:
        """X alone."""
        return circular_splines.root(y, *self._curve(theta, *circular))

    def _curve(
        self, theta: tf.Tensor, *circular: tf.Tensor
    ) -> tuple[circular_splines.Curve, float, tf.Tensor | None]:
        """What `circular_splines.forward` takes beside the points."""
        is_circular = circular[0] > 0.5 if circular else None
        curve = circular_splines.unpack(
            theta, self.num_bins, self.half_width, is_circular, self.tail_bound
        )
        return curve, self.half_width, is_circular
