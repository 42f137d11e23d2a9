"""Inverse autoregressive flow, affine or gated."""

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

__all__ = ["InverseAutoregressive", "check_update"]

UPDATES = ("affine", "gated")


def check_update(update: str) -> None:
    """Raises ValueError unless `update` is a known one."""
    if update not in UPDATES:
        raise ValueError(
            f"`update` must be one of {', '.join(UPDATES)}; got {update!r}."
        )


@composite_if_declared
class InverseAutoregressive(AutoregressiveBijector):
    """IAF: `y_i = m_i + g_i x_i`, where `m_i`, `g_i` depend on the x before i.

    The step for variational posteriors: samples and their density come from one
    pass through the network.

    #### Mathematical details

    The conditioner maps `x` to `(t, a)`, of which coordinate i depends on the x
    that come before i in its order; `s = c * tanh(a / c)`, `c = max_log_scale`.

    `update="affine"`:

    - forward: `y = x * exp(s) + t`; forward log-det: `sum(s)`
    - inverse: `x = (y - t) * exp(-s)`, one coordinate after the other; inverse
      log-det: `-sum(s)`

    `update="gated"`, with `g = sigmoid(s + gate_bias)`:

    - forward: `y = g * x + (1 - g) * t`; forward log-det: `sum(log g)`
    - inverse: `x = y + (y - t) * (1 - g) / g`, one coordinate after the other;
      inverse log-det: `-sum(log g)`

    The density of a sample is `log q(y) = log q(x)` minus the forward log-det.

    #### Shapes

    The event is `[D]`; the conditioner maps `[..., D]` to `[..., 2 D]`, first
    `t`, then `a`. `context`: `[..., C]`; of `conditioner_parameters`, a kernel
    is `[..., I, O]`, a bias `[..., O]`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example
        kernels [I, O], bias_0 [B, O]    x [S, B, D] -> y [S, B, D]

    With a context, or an amortized bias, the batch shape is `[B]`, and a
    `TransformedDistribution` draws independent noise for every example.

    #### Invertibility

    Always invertible. `MaskedAutoregressive` is the same map in the other
    direction, with other parameters of the scalar map.

    #### Cost

    Forward: one pass through the network. Inverse: at most D passes
    in one rolled loop, whose graph and time to compile do not depend on D. Each
    pass settles one coordinate for good and improves the others, so that the
    loop often ends after a few. The gradient is implicit, found in the same
    way: it stores the activations of one pass.

    #### Numerics

    Zeros of the conditioner give the identity with `update="affine"`. The bound
    on `s` keeps values finite however far out the point.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    network = tfp_flows.bijectors.MADEConditioner(
        event_size=4, num_outputs=2, hidden_units=(16,)
    )
    flow = tfp_flows.bijectors.InverseAutoregressive(
        network,
        {
            name: tf.random.normal(shape)
            for name, shape in network.parameter_shapes().items()
        },
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(4), tf.ones(4)), flow
    )
    samples, log_prob = q.experimental_sample_and_log_prob(100, seed=1)
    q.log_prob(tf.ones([3, 4]))  # any points; shape [3], in nats
    ```

    #### References

    [1] D. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever and M.
        Welling. Improving Variational Inference with Inverse Autoregressive
        Flow. NeurIPS 2016. arXiv:1606.04934, eq. 10-14. Deviation: the bound on
        `s`; there it is free.
    """

    def __init__(  # noqa: D417 -- the others are those of the base
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        update: str = "affine",
        gate_bias: float = 1.0,
        max_log_scale: float = 16.0,
        validate_args: bool = False,
        name: str = "inverse_autoregressive",
    ) -> None:
        """Constructs an inverse autoregressive flow.

        Args:
          conditioner: a `MADEConditioner` with `num_outputs=2`, or another.
          update: "affine" or "gated". Default: "affine".
          gate_bias: of the gated update; at 1 a network of zeros keeps 73 % of
            `x`. Default: 1.
          max_log_scale: `c`, positive. Default: 16.

        The others but `name`, what a conditioner may be, and what is refused
        with a TypeError or a ValueError: see `AutoregressiveBijector`.

        Raises:
          ValueError: an unknown `update`, or a `max_log_scale` that is not
            positive.
        """
        parameters = dict(locals())
        check_update(update)
        self._update = update
        self._gate_bias = gate_bias
        transformer = (
            transformers.Affine(max_log_scale)
            if update == "affine"
            else transformers.Gated(max_log_scale, gate_bias)
        )
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            transformer,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    max_log_scale = setting(
        "max_log_scale", "The bound on the log-scales, or on the gate's logit."
    )

    @property
    def update(self) -> str:
        """How `x` is changed: "affine" or "gated"."""
        return self._update

    @property
    def gate_bias(self) -> float:
        """What is added to the gate's logit, if gated."""
        return self._gate_bias
