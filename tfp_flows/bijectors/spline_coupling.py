"""Coupling by rational-quadratic splines."""

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
from tfp_flows.bijectors.split_coupling import SplitCoupling
from tfp_flows.types import TensorLike

__all__ = ["SplineCoupling"]


@composite_if_declared
class SplineCoupling(CircularCoordinates, SplitCoupling):
    """Spline coupling: `y = [x_1, spline_(theta(x_1))(x_2)]`.

    The first part of the coordinates passes unchanged and shapes, through a
    network, one monotone rational-quadratic spline for each of the others.

    #### Mathematical details

    `x_2` holds the last `M = D // 2` coordinates, `x_1` the others. The
    conditioner maps `x_1` to the widths, the heights and the inner slopes of
    `num_bins` bins for each moved coordinate, on `[-B, B]`, B = `tail_bound`;
    see `RationalQuadraticSpline`:

    - forward: `y_1 = x_1`, `y_2i = spline_i(x_2i)`
    - forward log-det: `sum_i log spline_i'(x_2i)`
    - inverse: `x_1 = y_1`, `x_2i = spline_i^-1(y_2i)`
    - inverse log-det: minus the sum

    Circular coordinates are points of `[-pi, pi)`, or of `half_width`, whose
    ends are one point. They go through the splines of `CircularSpline`, with
    two phases beside the widths, heights and slopes; the others read no phases
    and the slopes of the inner knots alone. The conditioner reads the cosine
    and the sine of a circular coordinate, of any other one itself and a zero,
    `[..., 2 (D - M)]`, blocks of `D - M`, and returns
    `[..., (3 num_bins + 2) M]`. So a density of uniform circular coordinates
    is continuous around all circles.

    #### Shapes

    The event is `[D]`, D >= 2; the conditioner maps `[..., D - M]` to
    `[..., (3 num_bins - 1) M]`, blocks of M: first the widths, then the
    heights, then the slopes. `context`: `[..., C]`; of
    `conditioner_parameters`, a kernel is `[..., I, O]`, a bias `[..., O]`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example
        kernels [I, O], bias_0 [B, O]    x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Always invertible, in closed form.

    #### Cost

    That of the conditioner and `O(D num_bins)`, in both directions. Nothing is
    sequential in D; compiles with XLA.

    #### Numerics

    A conditioner that returns zeros gives the identity. Outside of `[-B, B]` a
    point does not move: put a linear layer, such as `LULinear`, between the
    steps. Circular coordinates are taken up to whole turns, come out in
    `[-half_width, half_width)`, and between steps may only be permuted.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    num_bins = 4
    network = tfp_flows.bijectors.MLPConditioner(hidden_units=(16,))
    shapes = network.parameter_shapes(
        input_size=3, output_size=2 * (3 * num_bins - 1)
    )
    flow = tfp_flows.bijectors.SplineCoupling(
        network,
        {name: tf.random.normal(shape) for name, shape in shapes.items()},
        num_bins=num_bins,
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(5), tf.ones(5)), flow
    )
    q.log_prob(tf.ones([3, 5]))  # any points; shape [3], in nats
    ```

    #### References

    [1] C. Durkan, A. Bekasov, I. Murray and G. Papamakarios. Neural spline
        flows. NeurIPS 2019. arXiv:1906.04032, sections 3 and 4. Deviation:
        `x_1` itself stays; there it goes through splines of its own.
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
        name: str = "spline_coupling",
    ) -> None:
        """Constructs a spline coupling.

        Args:
          conditioner: its outputs are of size (3 num_bins - 1) M; with
            circular coordinates it takes 2 (D - M) inputs and returns
            (3 num_bins + 2) M.
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
        with a TypeError or a ValueError: see `SplitCoupling`.

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
