"""Monotone rational-quadratic splines, one for each coordinate."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors._coordinatewise import (
    DEFAULT_NUM_BINS,
    CoordinatewiseBijector,
    check_bins,
)
from tfp_flows.types import TensorLike

__all__ = ["RationalQuadraticSpline"]


class RationalQuadraticSpline(CoordinatewiseBijector):
    """Rational-quadratic spline on `[-B, B]`, coordinate by coordinate.

    Each coordinate goes through an increasing curve of K pieces; outside of
    `[-B, B]` it stays where it is, and the curve joins without a kink.

    #### Mathematical details

    The knots `(x_k, y_k)` run from `(-B, -B)` to `(B, B)`, with slopes `d_k`,
    1 at both ends. Between two of them, with `w = x_{k+1} - x_k`,
    `h = y_{k+1} - y_k`, `s = h / w`, `t = (x - x_k) / w` and `r = 1 - t`:

    - forward: `y = y_k + h (s t**2 + d_k t r) / q`, where
      `q = s (t**2 + r**2) + (d_k + d_{k+1}) t r`
    - forward log-det: the sum over coordinates of
      `log(d_{k+1} t**2 + 2 s t r + d_k r**2) + 2 log(s / q)`
    - inverse: the root of a quadratic equation in t
    - inverse log-det: minus the forward log-det at that root

    Widths and heights are softmaxes of free reals times 2 B, at least 1 % of
    their mean, nearly; inner slopes are softplus, at least 2**-10.

    #### Shapes

    The event is `[D]`; widths and heights: `[..., D, K]`, slopes:
    `[..., D, K - 1]`.

        [D, K]       x [B, D] -> y [B, D]        one map
        [B, D, K]    x [B, D] -> y [B, D]        one per example
        [B, D, K]    x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Always invertible, in closed form.

    #### Cost

    `O(D K)` in both directions: every bin is looked at, none is gathered.
    Nothing is sequential in D; compiles with XLA.

    #### Numerics

    Zeros are the identity. Value, log-det and gradients are finite at the
    knots, at the bounds and far outside of them. The inverse is polished by two
    steps of Newton's method, and its gradients, of every order, are those of
    the implicit function.

    #### Example

    ```python
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.RationalQuadraticSpline(  # D = 1, K = 3
        unconstrained_widths=[[0.0, -1.0, 0.0]],
        unconstrained_heights=[[0.0, 1.0, 0.0]],
        unconstrained_slopes=[[1.0, 1.0]],
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0], [1.0]), flow
    )
    q.log_prob([[1.5], [0.0]])  # two modes; any points; shape [2], in nats
    ```

    #### References

    [1] C. Durkan, A. Bekasov, I. Murray and G. Papamakarios. Neural spline
        flows. NeurIPS 2019. arXiv:1906.04032, section 3 and appendix A.
        Deviation: the softplus is shifted, so that zeros are the identity.
    [2] J. A. Gregory and R. Delbourgo. Piecewise rational quadratic
        interpolation to monotonic data. IMA J. Numerical Analysis 1982.
    """

    _tensors: ClassVar[Mapping[str, int]] = {
        "unconstrained_widths": DEFAULT_NUM_BINS,
        "unconstrained_heights": DEFAULT_NUM_BINS,
        "unconstrained_slopes": DEFAULT_NUM_BINS - 1,
    }

    def __init__(
        self,
        unconstrained_widths: TensorLike,
        unconstrained_heights: TensorLike,
        unconstrained_slopes: TensorLike,
        tail_bound: float = 3.0,
        validate_args: bool = False,
        name: str = "rational_quadratic_spline",
    ) -> None:
        """Constructs one spline for each coordinate.

        Args:
          unconstrained_widths: logits of the widths. Shape `[..., D, K]`.
          unconstrained_heights: logits of the heights. Shape `[..., D, K]`.
          unconstrained_slopes: slopes at the inner knots, before the softplus.
            Shape `[..., D, K - 1]`.
          tail_bound: B, positive. Default: 3.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "rational_quadratic_spline".

        Raises:
          TypeError: a `keras.Variable`, dtypes that differ, or a dtype other
            than float32 and float64.
          ValueError: fewer than 2 bins, another number of slopes than K - 1,
            parameters that differ in D, or a `tail_bound` that is not
            positive.
        """
        math.constraints.check_bound("tail_bound", tail_bound)
        self._tail_bound = tail_bound
        super().__init__(dict(locals()))

    def _check_tensors(self) -> None:
        check_bins(self._kept(), fewer=["unconstrained_slopes"])

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
        """Inner slopes before the softplus, `[..., D, K - 1]`."""
        return self._unconstrained_slopes

    @property
    def tail_bound(self) -> float:
        """B: the splines are the identity outside of `[-B, B]`."""
        return self._tail_bound

    def _constrained(self, *parameters: tf.Tensor) -> tuple[tf.Tensor, ...]:
        widths, heights, slopes = parameters
        return math.splines.knots(widths, heights, slopes, self._tail_bound)

    def _map(
        self, direction: str, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        function = getattr(math.splines, direction)
        return function(x, math.splines.Knots(*parameters))
