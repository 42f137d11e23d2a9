"""Data-adaptive convolution: one part of the signal chooses the kernel."""

from collections.abc import Mapping

from tfp_flows import math
from tfp_flows.bijectors import transformers
from tfp_flows.bijectors._conditioned_bijector import (
    ConditionerLike,
    composite_if_declared,
    setting,
)
from tfp_flows.bijectors.split_coupling import SplitCoupling
from tfp_flows.types import TensorLike

__all__ = ["DataAdaptiveConvolution"]


@composite_if_declared
class DataAdaptiveConvolution(SplitCoupling):
    """Data-adaptive convolution: `y = [x_1, conv_(k(x_1))(x_2)]`.

    The first part of the coordinates passes unchanged and chooses, through a
    network, the kernel of the circular convolution of the rest.

    #### Mathematical details

    `x_2` holds the last `M = D // 2` coordinates, `x_1` the others. The
    conditioner maps `x_1` to `A`, the `unconstrained_spectrum` of
    `CircularConvolution`, which gives the response `K`:

    - forward: `y_1 = x_1`, `y_2 = irfft(K * rfft(x_2))`
    - forward log-det: `sum_n log|K(n)|`, over all M frequencies; another
      number for every example
    - inverse: `x_1 = y_1`, `x_2 = irfft(rfft(y_2) / K)`
    - inverse log-det: `-sum_n log|K(n)|`

    #### Shapes

    The event is `[D]`, D >= 2; the conditioner maps `[..., D - M]` to
    `[..., M]`. `context`: `[..., C]`; of `conditioner_parameters`, a kernel is
    `[..., I, O]`, a bias `[..., O]`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example
        kernels [I, O], bias_0 [B, O]    x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Always invertible: `|K|` is bounded, see `CircularConvolution`.

    #### Cost

    That of the conditioner and `O(D log D)`, in both directions. Nothing is
    sequential in D; compiles with XLA.

    #### Numerics

    A conditioner that returns zeros gives the identity.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    conditioner = tfp_flows.bijectors.MLPConditioner(hidden_units=(16,))
    shapes = conditioner.parameter_shapes(input_size=3, output_size=2)
    flow = tfp_flows.bijectors.DataAdaptiveConvolution(
        conditioner,
        {name: tf.random.normal(shape) for name, shape in shapes.items()},
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(5), tf.ones(5)), flow
    )
    q.log_prob(tf.ones([3, 5]))  # any points; shape [3], in nats
    ```

    #### References

    [1] M. Karami, D. Schuurmans, J. Sohl-Dickstein, L. Dinh and D. Duckworth.
        Invertible convolutional flow. NeurIPS 2019. Deviation: the network
        gives the spectrum, bounded away from zero, not the kernel.
    """

    def __init__(  # noqa: D417 -- the others are those of the base
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        max_log_magnitude: float = math.circulant.MAX_LOG_MAGNITUDE,
        validate_args: bool = False,
        name: str = "data_adaptive_convolution",
    ) -> None:
        """Constructs a data-adaptive convolution.

        Args:
          conditioner: its outputs are of size M.
          max_log_magnitude: that of `CircularConvolution`. Default: 3.

        The others but `name`, what a conditioner may be, and what is refused
        with a TypeError or a ValueError: see `SplitCoupling`.

        Raises:
          ValueError: `max_log_magnitude` is not positive.
        """
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            transformers.Convolution(max_log_magnitude),
            validate_args=validate_args,
            parameters=dict(locals()),
            name=name,
        )

    max_log_magnitude = setting(
        "max_log_magnitude",
        "The bound on the logarithm of the response's magnitude.",
    )
