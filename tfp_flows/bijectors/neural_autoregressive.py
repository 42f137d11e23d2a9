"""Neural autoregressive flow of deep sigmoidal maps."""

from collections.abc import Mapping

from tfp_flows.bijectors import transformers
from tfp_flows.bijectors._conditioned_bijector import (
    ConditionerLike,
    composite_if_declared,
    setting,
)
from tfp_flows.bijectors.autoregressive_bijector import (
    AutoregressiveBijector,
)
from tfp_flows.types import TensorLike

__all__ = ["NeuralAutoregressive"]


@composite_if_declared
class NeuralAutoregressive(AutoregressiveBijector):
    """NAF: `y_i = h_i(x_i)`, h_i a monotone network shaped by the x before i.

    Each coordinate goes through mixtures of sigmoids, seen through a logit,
    which approximate any increasing function.

    #### Mathematical details

    The conditioner maps `x` to the weights w > 0, which add up to 1, the slopes
    a > 0 and the offsets b of H = `num_sigmoids` units in each of
    `num_layers` layers, for each coordinate; see `DeepSigmoidal`:

    - forward: `y = logit(sum_j w_j sigmoid(a_j x + b_j))`, layer after layer
    - forward log-det: `sum_i log dy_i/dx_i`
    - inverse: a bracketed root search for each coordinate, one after the other
    - inverse log-det: minus the sum

    #### Shapes

    The event is `[D]`; the conditioner maps `[..., D]` to
    `[..., num_layers 3 H D]`, blocks of D: layer after layer, in each first the
    weights, then the slopes, then the offsets.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example

    #### Invertibility

    Always invertible: a mixture of sigmoids is increasing, and onto.

    #### Cost

    Forward: one pass through the network. Inverse: at most D passes in one
    rolled loop, see `InverseAutoregressive`, with root searches in each.
    Gradients are implicit: none passes through a search.

    #### Numerics

    Computed in logarithms, in the tails too. Zeros of the conditioner give the
    identity.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    num_sigmoids = 4
    network = tfp_flows.bijectors.MADEConditioner(
        event_size=3, num_outputs=3 * num_sigmoids, hidden_units=(16,)
    )
    flow = tfp_flows.bijectors.NeuralAutoregressive(
        network,
        {
            name: tf.random.normal(shape)
            for name, shape in network.parameter_shapes().items()
        },
        num_sigmoids=num_sigmoids,
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(3), tf.ones(3)), flow
    )
    q.log_prob(tf.ones([3]))  # any point
    ```

    #### References

    [1] C.-W. Huang, D. Krueger, A. Lacoste and A. Courville. Neural
        Autoregressive Flows. ICML 2018. arXiv:1804.00779, section 3 (deep
        sigmoidal flow). Deviations: those of `DeepSigmoidal`; the inverse, of
        which there is none.
    """

    def __init__(  # noqa: D417 -- the others are those of the base
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        num_sigmoids: int = 8,
        num_layers: int = 1,
        validate_args: bool = False,
        name: str = "neural_autoregressive",
    ) -> None:
        """Constructs a neural autoregressive flow.

        Args:
          conditioner: a `MADEConditioner` with
            `num_outputs=3 * num_sigmoids * num_layers`, or another.
          num_sigmoids: H, units of each layer, at least 1. Default: 8.
          num_layers: sigmoidal layers, at least 1. Default: 1.

        The others but `name`, what a conditioner may be, and what is refused
        with a TypeError or a ValueError: see `AutoregressiveBijector`.

        Raises:
          ValueError: `num_sigmoids` or `num_layers` is no positive integer.
        """
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            transformers.DeepSigmoidal(num_sigmoids, num_layers),
            validate_args=validate_args,
            parameters=dict(locals()),
            name=name,
        )

    num_sigmoids = setting("num_sigmoids", "The number of units of each layer.")
    num_layers = setting("num_layers", "The number of sigmoidal layers.")
