"""Monotone rational-quadratic splines of circles, one for each coordinate."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tfp_flows.bijectors._coordinatewise import (
    DEFAULT_NUM_BINS,
    CoordinatewiseBijector,
    check_bins,
)
from tfp_flows.math import circular_splines, constraints
from tfp_flows.types import TensorLike

__all__ = ["CircularSpline"]


class CircularSpline(CoordinatewiseBijector):
    """Rational-quadratic spline of the circle, coordinate by coordinate.

    Each coordinate is a point of a circle, a number in `[-B, B)` whose ends are
    one point: an angle, if B is pi. It goes through an increasing curve of K
    pieces that turns around the circle once and joins its own start without a
    kink.

    #### Mathematical details

    The knots `(x_k, y_k)` run from `(-B, -B)` to `(B, B)`, with slopes `d_k`,
    the last one `d_K = d_0`; between them the spline S is that of
    `RationalQuadraticSpline`. With the phases `(a, b)`, and all sums taken in
    `[-B, B)`, up to whole turns of 2 B:

    - forward: `y = S(x - a) + b`
    - forward log-det: the sum over coordinates of `log S'(x - a)`
    - inverse: `x = S^-1(y - b) + a`
    - inverse log-det: minus the forward log-det at that point

    So the curve starts at any point of the circle, with any image, and a
    rotation of x, or of y, is one of its phase. A base that is uniform on the
    circle has images of density `1 / (2 B S')`, continuous around it.

    Widths and heights are softmaxes of free reals times 2 B, at least 1 % of
    their mean, nearly; slopes are softplus, at least 2**-10.

    #### Shapes

    The event is `[D]`; widths, heights and slopes: `[..., D, K]`, phases:
    `[..., D, 2]`.

        [D, K]       x [B, D] -> y [B, D]        one map
        [B, D, K]    x [B, D] -> y [B, D]        one per example
        [B, D, K]    x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Always invertible on the circle, in closed form. Numbers outside of
    `[-B, B)` are taken for the point that they are up to whole turns; what
    comes out lies in `[-B, B)`, in float32 too. The way back from an image that
    the bijector has just made is the number it was given, as everywhere in TFP.

    #### Cost

    `O(D K)` in both directions: every bin is looked at, none is gathered.
    Nothing is sequential in D; compiles with XLA.

    #### Numerics

    Zeros are the identity. Value, log-det and gradients are finite at the
    knots, also where -B and B meet: there the value may jump by 2 B, log-det
    and derivatives do not. The inverse is polished and differentiated as that
    of `RationalQuadraticSpline`.

    #### Example

    ```python
    import math

    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.CircularSpline(  # D = 1, K = 3
        unconstrained_widths=[[0.0, -1.0, 0.0]],
        unconstrained_heights=[[0.0, 1.0, 0.0]],
        unconstrained_slopes=[[0.5, 1.0, 1.0]],
        phases=[[0.0, 2.0]],
    )
    circle = tfd.Independent(tfd.Uniform([-math.pi], [math.pi]), 1)
    q = tfd.TransformedDistribution(circle, flow)
    q.log_prob([[3.1], [-3.1]])  # any angles; shape [2], in nats
    ```

    #### References

    [1] D. J. Rezende, G. Papamakarios, S. Racaniere, M. S. Albergo, G. Kanwar,
        P. E. Shanahan and K. Cranmer. Normalizing flows on tori and spheres.
        ICML 2020. arXiv:2002.02428, section 2. Deviations: the interval is
        centred; there are two phases, so that both directions can be rotated;
        the softplus is shifted, so that zeros are the identity.
    [2] C. Durkan, A. Bekasov, I. Murray and G. Papamakarios. Neural spline
        flows. NeurIPS 2019. arXiv:1906.04032.
    """

    _tensors: ClassVar[Mapping[str, int]] = {
        "unconstrained_widths": DEFAULT_NUM_BINS,
        "unconstrained_heights": DEFAULT_NUM_BINS,
        "unconstrained_slopes": DEFAULT_NUM_BINS,
        "phases": circular_splines.NUM_PHASES,
    }

    def __init__(
        self,
        unconstrained_widths: TensorLike,
        unconstrained_heights: TensorLike,
        unconstrained_slopes: TensorLike,
        phases: TensorLike,
        half_width: float = math.pi,
        validate_args: bool = False,
        name: str = "circular_spline",
    ) -> None:
        """Constructs one spline of the circle for each coordinate.

        Args:
          unconstrained_widths: logits of the widths. Shape `[..., D, K]`.
          unconstrained_heights: logits of the heights. Shape `[..., D, K]`.
          unconstrained_slopes: slopes at the first K knots, before the
            softplus. Shape `[..., D, K]`.
          phases: where the curve starts, and the image of that point. Any
            numbers. Shape `[..., D, 2]`.
          half_width: B, positive, half of the length of the circle. Default:
            pi.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "circular_spline".

        Raises:
          TypeError: a `keras.Variable`, dtypes that differ, or a dtype other
            than float32 and float64.
          ValueError: fewer than 2 bins, parameters that differ in D or K,
            another number of phases than 2, or a `half_width` that is not
            positive.
        """
        constraints.check_bound("half_width", half_width)
        self._half_width = half_width
        super().__init__(dict(locals()))

    def _check_tensors(self) -> None:
        tensors = self._kept()
        phases = tf.TensorShape(tensors.pop("phases").shape)
        check_bins(tensors)
        size = self._event_size()
        expected = tf.TensorShape([size, circular_splines.NUM_PHASES])
        if phases.rank is not None and (
            phases.rank < 2 or not phases[-2:].is_compatible_with(expected)
        ):
            raise ValueError(
                f"`phases` must have shape [..., {size or 'D'}, 2]; got "
                f"{phases}."
            )

    @property
    def unconstrained_widths(self) -> Any:
        """Logits of the widths, `[..., D, K]`."""
        return self._unconstrained_widths

    @property
    def unconstrained_heights(self) -> Any:
        """Logits of the heights, `[..., D, K]`."""
        return self._unconstrained_heights

    @property
    def unconstrained_slopes(self) -> Any:
        """Slopes of the first K knots before the softplus, `[..., D, K]`."""
        return self._unconstrained_slopes

    @property
    def phases(self) -> Any:
        """Where the curve starts, and that point's image, `[..., D, 2]`."""
        return self._phases

    @property
    def half_width(self) -> float:
        """B: points lie in `[-B, B)`."""
        return self._half_width

    def _constrained(self, *parameters: tf.Tensor) -> tuple[tf.Tensor, ...]:
        widths, heights, slopes, phases = parameters
        return circular_splines.curve(
            widths, heights, slopes, phases, self._half_width
        )

    def _map(
        self, direction: str, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        function = getattr(circular_splines, direction)
        curve = circular_splines.Curve(*parameters)
        return function(x, curve, self._half_width)
