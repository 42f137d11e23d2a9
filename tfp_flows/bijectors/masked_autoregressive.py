"""Masked autoregressive flow."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from tfp_flows.bijectors import transformers
from tfp_flows.bijectors._conditioned_bijector import (
    ConditionerLike,
    composite_if_declared,
    setting,
)
from tfp_flows.bijectors.autoregressive_bijector import (
    AutoregressiveBijector,
)
from tfp_flows.bijectors.flow_bijector import OnePassBijector
from tfp_flows.types import TensorLike

__all__ = ["MaskedAutoregressive"]


@composite_if_declared
class MaskedAutoregressive(AutoregressiveBijector):
    """MAF: `y_i = t_i + exp(s_i) x_i`, where `t_i`, `s_i` depend on y before i.

    The step for density estimation, and for priors: the density of any point
    comes from one pass through the network.

    #### Mathematical details

    The conditioner maps `y` to `(t, a)`, of which coordinate i depends on the y
    that come before i in its order; `s = c * tanh(a / c)`, `c = max_log_scale`:

    - forward: `y = x * exp(s) + t`, one coordinate after the other
    - forward log-det: `sum(s)`
    - inverse: `x = (y - t) * exp(-s)`
    - inverse log-det: `-sum(s)`

    The density of a point is `log p(y) = log p(x) - sum(s)`.

    #### Shapes

    As those of `InverseAutoregressive`: the event is `[D]`, the conditioner
    maps `[..., D]` to `[..., 2 D]`, first `t`, then `a`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example

    #### Invertibility

    Always invertible; it is `InverseAutoregressive` in the other direction.

    #### Cost

    Inverse: one pass through the network. Forward: at most D passes
    in one rolled loop, whose graph and time to compile do not depend on D. Each
    pass settles one coordinate for good and improves the others, so that the
    loop often ends after a few. The gradient is implicit, found in the same
    way: it stores the activations of one pass.

    #### Numerics

    Zeros of the conditioner give the identity. The bound on `s` keeps values
    finite however far out the point.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    network = tfp_flows.bijectors.MADEConditioner(
        event_size=4, num_outputs=2, hidden_units=(16,), context_size=3
    )
    flow = tfp_flows.bijectors.MaskedAutoregressive(
        network,
        {
            name: tf.random.normal(shape)
            for name, shape in network.parameter_shapes().items()
        },
        context=tf.random.normal([5, 3]),
    )
    p = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(4), tf.ones(4)), flow
    )
    p.log_prob(tf.ones([5, 4]))  # one density per context; [5], in nats
    ```

    #### References

    [1] G. Papamakarios, T. Pavlakou and I. Murray. Masked Autoregressive Flow
        for Density Estimation. NeurIPS 2017. arXiv:1705.07057, eq. 2-5.
        Deviations: the bound on `s`; no batch normalisation.
    """

    def __init__(  # noqa: D417 -- the others are those of the base
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        max_log_scale: float = 4.0,
        validate_args: bool = False,
        name: str = "masked_autoregressive",
    ) -> None:
        """Constructs a masked autoregressive flow.

        Args:
          conditioner: a `MADEConditioner` with `num_outputs=2`, or another.
          max_log_scale: `c`, positive. Default: 4.

        The others but `name`, what a conditioner may be, and what is refused
        with a TypeError or a ValueError: see `AutoregressiveBijector`.

        Raises:
          ValueError: `max_log_scale` is not positive.
        """
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            transformers.Inverse(transformers.Affine(max_log_scale)),
            validate_args=validate_args,
            parameters=dict(locals()),
            name=name,
        )

    max_log_scale = setting(
        "transformer.max_log_scale", "The bound on the log-scales."
    )

    # The transformer is the map from y to x, in which the network reads y.
    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._sequential(x, parameters)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._parallel(y, parameters)

    # Cheap where the inverse is.
    _push_density_gradient = OnePassBijector._push_density_gradient
