"""Affine coupling, the step of Real NVP."""

from collections.abc import Mapping

from tfp_flows.bijectors import transformers
from tfp_flows.bijectors._conditioned_bijector import (
    ConditionerLike,
    composite_if_declared,
    setting,
)
from tfp_flows.bijectors.masked_coupling import MaskedCoupling
from tfp_flows.types import TensorLike

__all__ = ["AffineCoupling"]


@composite_if_declared
class AffineCoupling(MaskedCoupling):
    """Affine coupling: `y = x * exp(s) + t` where the mask is 0.

    One part of the coordinates passes unchanged and decides, through a
    network of any kind, how the others are scaled and shifted.

    #### Mathematical details

    The conditioner maps `mask * x` to `(t, a)`; `s = c * tanh(a / c)` with
    `c = max_log_scale`:

    - forward: `y = mask * x + (1 - mask) * (x * exp(s) + t)`
    - forward log-det: `sum((1 - mask) * s)`
    - inverse: `x = mask * y + (1 - mask) * (y - t) * exp(-s)`, `s` and `t` at
      `mask * y = mask * x`
    - inverse log-det: `-sum((1 - mask) * s)`

    #### Shapes

    The event is `[D]`, D >= 2; the conditioner maps `[..., D]` to
    `[..., 2 D]`, first `t`, then `a`. `mask`: `[..., D]`; `context`:
    `[..., C]`; of `conditioner_parameters`, a kernel is `[..., I, O]`, a bias
    `[..., O]`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example
        kernels [I, O], bias_0 [B, O]    x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Always invertible, in closed form: scales lie in `[exp(-c), exp(c)]`.

    #### Cost

    That of the conditioner, in both directions. Nothing is sequential in D;
    compiles with XLA.

    #### Numerics

    A conditioner that returns zeros gives the identity. The bound on `s` keeps
    values finite however far out the point.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    conditioner = tfp_flows.bijectors.MLPConditioner(hidden_units=(16,))
    shapes = conditioner.parameter_shapes(input_size=4, output_size=8)
    flow = tfp_flows.bijectors.AffineCoupling(
        conditioner,
        {name: tf.random.normal(shape) for name, shape in shapes.items()},
        mask=[1.0, 0.0, 1.0, 0.0],
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(4), tf.ones(4)), flow
    )
    q.log_prob(tf.ones([3, 4]))  # any points; shape [3], in nats
    ```

    #### References

    [1] L. Dinh, J. Sohl-Dickstein and S. Bengio. Density estimation using Real
        NVP. ICLR 2017. arXiv:1605.08803, eq. 7-9. Deviation: the bound on the
        log-scale is fixed; there it is a learned multiple of a tanh.
    """

    def __init__(  # noqa: D417 -- the others are those of the base
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        mask: TensorLike | None = None,
        max_log_scale: float = 2.0,
        validate_args: bool = False,
        name: str = "affine_coupling",
    ) -> None:
        """Constructs an affine coupling.

        Args:
          conditioner: its outputs are of size 2 D.
          max_log_scale: `c`, positive. Default: 2.

        The others but `name`, what a conditioner may be, and what is refused
        with a TypeError or a ValueError: see `MaskedCoupling`.

        Raises:
          ValueError: `max_log_scale` is not positive.
        """
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            mask,
            transformers.Affine(max_log_scale),
            validate_args=validate_args,
            parameters=dict(locals()),
            name=name,
        )

    max_log_scale = setting("max_log_scale", "The bound on the log-scales.")
