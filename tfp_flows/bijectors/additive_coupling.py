"""Additive coupling, the step of NICE."""

from collections.abc import Mapping

from tfp_flows.bijectors import transformers
from tfp_flows.bijectors._conditioned_bijector import (
    ConditionerLike,
    composite_if_declared,
)
from tfp_flows.bijectors.masked_coupling import MaskedCoupling
from tfp_flows.types import TensorLike

__all__ = ["AdditiveCoupling"]


@composite_if_declared
class AdditiveCoupling(MaskedCoupling):
    """Additive coupling: `y = x + (1 - mask) * m(mask * x)`.

    One part of the coordinates passes unchanged and decides, through a
    network `m` of any kind, by how much the others are shifted. Volumes are
    kept.

    #### Mathematical details

    - forward: `y = x + (1 - mask) * m(mask * x)`
    - forward log-det: `0`
    - inverse: `x = y - (1 - mask) * m(mask * y)`
    - inverse log-det: `0`

    `mask` is 1 where a coordinate passes, 0 where it is moved.

    #### Shapes

    The event is `[D]`, D >= 2; `m` maps `[..., D]` to `[..., D]`. `mask`:
    `[..., D]`; `context`: `[..., C]`; of `conditioner_parameters`, a kernel is
    `[..., I, O]`, a bias `[..., O]`.

        kernels [I, O], context none     x [N, D] -> y [N, D]   one map
        kernels [I, O], context [B, C]   x [B, D] -> y [B, D]   one per example
        kernels [I, O], bias_0 [B, O]    x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Always invertible, in closed form.

    #### Cost

    Two passes through nothing but `m`: both directions cost the same. Nothing
    is sequential in D; compiles with XLA.

    #### Numerics

    A conditioner that returns zeros gives the identity. The inverse is exact up
    to the rounding of one sum.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    conditioner = tfp_flows.bijectors.MLPConditioner(hidden_units=(16,))
    shapes = conditioner.parameter_shapes(input_size=4, output_size=4)
    flow = tfp_flows.bijectors.AdditiveCoupling(
        conditioner,
        {name: tf.random.normal(shape) for name, shape in shapes.items()},
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(4), tf.ones(4)), flow
    )
    q.log_prob(tf.ones([3, 4]))  # any points; shape [3], in nats
    ```

    #### References

    [1] L. Dinh, D. Krueger and Y. Bengio. NICE: non-linear independent
        components estimation. ICLR workshop 2015. arXiv:1410.8516, section
        3.2. Deviation: a mask, as in [2], in place of a split, so that the
        halves can change places from one member of a `Scan` to the next.
    [2] L. Dinh, J. Sohl-Dickstein and S. Bengio. Density estimation using Real
        NVP. ICLR 2017. arXiv:1605.08803, eq. 9.
    """

    def __init__(  # noqa: D417 -- the others are those of the base
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None = None,
        context: TensorLike | None = None,
        mask: TensorLike | None = None,
        validate_args: bool = False,
        name: str = "additive_coupling",
    ) -> None:
        """Constructs an additive coupling.

        Args:
          conditioner: `m`; its outputs are of size D.

        The others but `name`, what a conditioner may be, and what is refused
        with a TypeError or a ValueError: see `MaskedCoupling`.
        """
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            mask,
            transformers.Shift(),
            validate_args=validate_args,
            parameters=dict(locals()),
            name=name,
        )
