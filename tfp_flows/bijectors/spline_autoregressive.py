"""Autoregressive rational-quadratic splines."""

import math
from collections.abc import Mapping, Sequence

from tfp_flows._arguments import as_coordinates
from tfp_flows.bijectors._circular_coordinates import (
    CircularCoordinates,
    spline_transformer,
)
from tfp_flows.bijectors._conditioned_bijector import (
    ConditionerLike,
    composite_if_declared,
    setting,
)
from tfp_flows.bijectors.autoregressive_bijector import (
    AutoregressiveBijector,
)
from tfp_flows.types import TensorLike

__all__ = ["SplineAutoregressive"]


@composite_if_declared
class SplineAutoregressive(CircularCoordinates, AutoregressiveBijector):
    """Autoregressive splines: `y_i = spline_i(x_i)`, shaped by the x before i.

    Each coordinate goes through a monotone rational-quadratic spline on
    `[-B, B]`, B = `tail_bound`, and through the identity outside of it. The
    network reads the coordinates that come before it.

    #### Mathematical details

    The conditioner maps `x` to the widths, the heights and the inner slopes of
    `num_bins` bins for each coordinate; see `RationalQuadraticSpline`.

    - forward: `y_i = spline_i(x_i)`
    - forward log-det: `sum_i log spline_i'(x_i)`
    - inverse: `x_i = spline_i^-1(y_i)`, one coordinate after the other
    - inverse log-det: minus the sum

    A density of given points is the fast one behind `tfb.Invert`.

    Circular coordinates are points of `[-pi, pi)`, or of `half_width`, whose
    ends are one point. They go through the splines of `CircularSpline`, with
    two phases beside the widths, heights and slopes; the others read no phases
    and the slopes of the inner knots alone. The conditioner reads the cosine
    and the sine of a circular coordinate, of any other one itself and a zero,
    `[..., 2 D]`, blocks of D, and returns `[..., (3 num_bins + 2) D]`. So a
    density of uniform circular coordinates is continuous around all circles.

    #### Shapes

    The event is `[D]`; the conditioner maps `[..., D]` to
    `[..., (3 num_bins - 1) D]`, blocks of D: first the widths, then the
    heights, then the slopes.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example

    #### Invertibility

    Always invertible; a scalar is inverted in closed form.

    #### Cost

    Forward: one pass through the network. Inverse: at most D passes
    in one rolled loop, whose graph and time to compile do not depend on D. Each
    pass settles one coordinate for good and improves the others, so that the
    loop often ends after a few. The gradient is implicit, found in the same
    way: it stores the activations of one pass.

    #### Numerics

    Zeros of the conditioner give the identity. Outside of `[-B, B]` a point
    does not move: put a linear layer, such as `LULinear`, between the steps.
    Circular coordinates are taken up to whole turns, come out in
    `[-half_width, half_width)`, and between steps may only be permuted.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    num_bins = 4
    network = tfp_flows.bijectors.MADEConditioner(
        event_size=3, num_outputs=3 * num_bins - 1, hidden_units=(16,)
    )
    flow = tfp_flows.bijectors.SplineAutoregressive(
        network,
        {
            name: tf.random.normal(shape)
            for name, shape in network.parameter_shapes().items()
        },
        num_bins=num_bins,
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(3), tf.ones(3)), flow
    )
    samples, log_prob = q.experimental_sample_and_log_prob(100, seed=1)
    ```

    #### References

    [1] C. Durkan, A. Bekasov, I. Murray and G. Papamakarios. Neural Spline
        Flows. NeurIPS 2019. arXiv:1906.04032, sections 3 and 4.
    [2] D. J. Rezende, G. Papamakarios, S. Racaniere, M. S. Albergo, G. Kanwar,
        P. E. Shanahan and K. Cranmer. Normalizing flows on tori and spheres.
        ICML 2020. arXiv:2002.02428, section 2: circular coordinates.
        Deviations: those of `CircularSpline`.
    """

    def __init__(  # noqa: D417 -- the others are those of the base
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        num_bins: int = 8,
        tail_bound: float = 3.0,
        circular: bool | Sequence[int] = False,
        half_width: float = math.pi,
        circular_mask: TensorLike | None = None,
        validate_args: bool = False,
        name: str = "spline_autoregressive",
    ) -> None:
        """Constructs autoregressive splines.

        Args:
          conditioner: a `MADEConditioner` with
            `num_outputs=3 * num_bins - 1`, or another; with circular
            coordinates, `num_inputs=2` and `num_outputs=3 * num_bins + 2`.
          num_bins: bins of each spline, at least 2. Default: 8.
          tail_bound: B, positive. Default: 3.
          circular: which coordinates are points of a circle,
            `[-half_width, half_width)`: False, True, or their indices.
            Default: False.
          half_width: half of the length of the circles, positive. Default: pi.
          circular_mask: with `circular=True`, ones for the circular
            coordinates, zeros for the others, where the members of a `Scan`
            differ. Shape `[..., D]`. Default: None, all are circular.

        The others but `name`, what a conditioner may be, and what is refused
        with a TypeError or a ValueError: see `AutoregressiveBijector`.

        Raises:
          ValueError: fewer than 2 bins, a bound that is not positive,
            `circular` is none of the above, or has indices beyond D (at use);
            a `circular_mask` of other values, of another size, or without
            `circular=True`.
        """
        circular = as_coordinates("circular", circular)
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            spline_transformer(num_bins, tail_bound, circular, half_width),
            validate_args=validate_args,
            parameters=dict(locals()),
            name=name,
        )
        self._check_circular_mask(self._event_size())

    num_bins = setting("num_bins", "The number of bins of each spline.")
    tail_bound = setting(
        "tail_bound", "B: the splines are the identity outside of `[-B, B]`."
    )
