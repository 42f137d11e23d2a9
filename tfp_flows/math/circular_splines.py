"""Monotone rational-quadratic splines that map circles to themselves.

Each coordinate is a point of a circle, `[-B, B)`, see `circles`. Where only
some of them are, the others go through a spline with linear tails; both kinds
have the same parameters, so that coordinates may be of one kind in one step of
a flow and of another in the next.
"""

from typing import NamedTuple

import tensorflow as tf

from tfp_flows.math import circles, splines

__all__ = [
    "NUM_PHASES",
    "Curve",
    "curve",
    "forward",
    "inverse",
    "root",
    "unpack",
]

# The point at which a curve starts, and its image.
NUM_PHASES = 2


class Curve(NamedTuple):
    """Knots `[..., K + 1, D]` from -B to B, and where -B lies, `[..., D]`."""

    x: tf.Tensor
    y: tf.Tensor
    slopes: tf.Tensor
    start: tf.Tensor
    image: tf.Tensor

    @property
    def knots(self) -> splines.Knots:
        """Those of the curve that starts at -B and has -B for its image."""
        return splines.Knots(self.x, self.y, self.slopes)


def curve(
    widths: tf.Tensor,
    heights: tf.Tensor,
    slopes: tf.Tensor,
    phases: tf.Tensor,
    half_width: float,
    is_circular: tf.Tensor | None = None,
    tail_bound: float = 1.0,
) -> Curve:
    """The curve of free reals; zeros are the identity.

    Args:
      widths: logits of the widths, `[..., K, D]`.
      heights: logits of the heights, alike.
      slopes: those of the knots before a softplus, alike. The first one is that
        of the last knot too, which is the same point.
      phases: what is taken from points, and what is added to images,
        `[..., 2, D]`.
      half_width: B.
      is_circular: booleans `[..., D]`; None: all coordinates are.
      tail_bound: B of the others. They read no phases, and the slope of their
        first knot is 1.
    """
    bound: tf.Tensor | float = half_width
    if is_circular is not None:
        is_circular = is_circular[..., tf.newaxis, :]
        bound = tf.where(
            is_circular,
            tf.constant(half_width, widths.dtype),
            tf.constant(tail_bound, widths.dtype),
        )
        is_inner = tf.range(slopes.shape[-2])[:, tf.newaxis] > 0
        slopes = tf.where(is_circular | is_inner, slopes, 0.0)
        phases = tf.where(is_circular, phases, 0.0)
    knots = splines.periodic_knots(widths, heights, slopes, bound)
    return Curve(*knots, phases[..., 0, :], phases[..., 1, :])


def unpack(
    unconstrained: tf.Tensor,
    num_bins: int,
    half_width: float,
    is_circular: tf.Tensor | None = None,
    tail_bound: float = 1.0,
) -> Curve:
    """The curve of one tensor, `[..., 3 K + 2, D]`; zeros are the identity.

    First the K widths, then the K heights, the K slopes and the two phases, as
    `curve` takes them, and the other arguments.
    """
    sizes = [num_bins, num_bins, num_bins, NUM_PHASES]
    widths, heights, slopes, phases = tf.split(unconstrained, sizes, axis=-2)
    return curve(
        widths, heights, slopes, phases, half_width, is_circular, tail_bound
    )


def forward(
    x: tf.Tensor,
    curve: Curve,
    half_width: float,
    is_circular: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, log dy/dx)`, each `[..., D]`.

        y = spline(x - start) + image,  both sides in [-B, B)

    Args:
      x: points, `[..., D]`, which are taken up to whole turns.
      curve: that of `curve`.
      half_width: B.
      is_circular: as given to `curve`.
    """
    y, log_slope = splines.forward(
        _around(x - curve.start, half_width, is_circular),
        curve.knots,
        closed=True,
    )
    return _around(y + curve.image, half_width, is_circular), log_slope


def inverse(
    y: tf.Tensor,
    curve: Curve,
    half_width: float,
    is_circular: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(x, log dx/dy)` of `forward`; the arguments are alike."""
    x, log_slope = splines.inverse(
        _around(y - curve.image, half_width, is_circular),
        curve.knots,
        closed=True,
    )
    return _around(x + curve.start, half_width, is_circular), log_slope


def root(
    y: tf.Tensor,
    curve: Curve,
    half_width: float,
    is_circular: tf.Tensor | None = None,
) -> tf.Tensor:
    """`x` of `inverse`; of its own derivatives the first is right."""
    x = splines.root(
        _around(y - curve.image, half_width, is_circular),
        curve.knots,
        closed=True,
    )
    return _around(x + curve.start, half_width, is_circular)


def _around(
    x: tf.Tensor, half_width: float, is_circular: tf.Tensor | None
) -> tf.Tensor:
    wrapped = circles.wrap(x, half_width)
    return wrapped if is_circular is None else tf.where(is_circular, wrapped, x)
