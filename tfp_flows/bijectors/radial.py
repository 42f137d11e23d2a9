"""Radial flow, `y = x + beta * (x - z0) / (alpha + |x - z0|)`."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.types import TensorLike

__all__ = ["Radial"]


class Radial(DeclaredTensors):
    """Radial flow: `y = x + beta * (x - z0) / (alpha + |x - z0|)`.

    Pushes the points around a centre `z0` outwards (`beta > 0`) or pulls them
    inwards (`beta < 0`), the nearest ones the most.

    #### Mathematical details

    With the Euclidean radius `r = |x - z0|`,
    `alpha = softplus(unconstrained_alpha) > 0` and
    `beta = -alpha + softplus(unconstrained_beta) > -alpha`:

    - forward: `y = z0 + (x - z0) * (alpha + beta + r) / (alpha + r)`
    - forward log-det: `(D - 1) * log(1 + beta / (alpha + r))
      + log(1 + alpha * beta / (alpha + r)**2)`
    - inverse: `x = z0 + (y - z0) * (alpha + r) / (alpha + beta + r)`, where
      `r` is the positive root of
      `r**2 + (alpha + beta - R) * r - alpha * R = 0` and `R = |y - z0|`
    - inverse log-det: minus the forward log-det at that `r`

    The last factor of the determinant is `1 + beta * h(r) + beta * h'(r) * r`
    with `h = 1 / (alpha + r)`.

    #### Shapes

    The event is `[D]`. `z0`: `[..., D]`; the other two: `[...]`.

        z0 [D],    others []    x [N, D] -> y [N, D]     one map
        z0 [B, D], others [B]   x [B, D] -> y [B, D]     one per example
        z0 [B, D], others [B]   x [S, B, D] -> y [S, B, D]

    #### Invertibility

    Invertible if and only if `beta > -alpha`, which the constraint ensures
    for all finite parameters.

    #### Cost

    `O(D)` in both directions, nothing sequential, compiles with XLA.

    #### Numerics

    `alpha + beta` is kept beside `alpha`, so that nothing cancels as
    `beta -> -alpha`. Values and gradients are finite at `r = 0`. Equal
    unconstrained values (both 0, say) give `y = x` and log-det 0 exactly.

    #### Example

    ```python
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.Radial(
        z0=[1.0, 0.0], unconstrained_alpha=0.5, unconstrained_beta=-1.0
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0, 0.0], [1.0, 1.0]), flow
    )
    q.log_prob([[2.0, -1.0], [0.0, 0.5]])  # any points; shape [2], in nats
    ```

    #### References

    [1] D. Rezende and S. Mohamed. Variational inference with normalizing
        flows. ICML 2015. arXiv:1505.05770, eq. 14 and appendix A.
        Deviation: `alpha`, left free there, is a softplus.
    """

    _tensors = {"z0": 1, "unconstrained_alpha": 0, "unconstrained_beta": 0}

    def __init__(
        self,
        z0: TensorLike,
        unconstrained_alpha: TensorLike,
        unconstrained_beta: TensorLike,
        validate_args: bool = False,
        name: str = "radial",
    ) -> None:
        """Constructs a radial flow.

        Args:
          z0: the centre. Shape `[..., D]`.
          unconstrained_alpha: `alpha` before the softplus. Shape `[...]`.
          unconstrained_beta: `alpha + beta` before the softplus. Shape `[...]`.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "radial".

        Raises:
          ValueError: `z0` is a scalar or has D = 0.
          TypeError: a `keras.Variable`, dtypes that differ, or a dtype other
            than float32 and float64.
        """
        super().__init__(dict(locals()))

    @property
    def z0(self) -> Any:
        """The centre, `[..., D]`."""
        return self._z0

    @property
    def unconstrained_alpha(self) -> Any:
        """`alpha` before the softplus, `[...]`."""
        return self._unconstrained_alpha

    @property
    def unconstrained_beta(self) -> Any:
        """`alpha + beta` before the softplus, `[...]`."""
        return self._unconstrained_beta

    def _constrained(self, *tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return math.radial.constrain(*tensors)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.radial.forward(x, *parameters)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.radial.inverse(y, *parameters)
