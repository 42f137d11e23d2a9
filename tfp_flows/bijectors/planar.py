"""Planar flow, `y = x + u_hat * tanh(<w, x> + b)`."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.types import TensorLike

__all__ = ["Planar"]


class Planar(DeclaredTensors):
    """Planar flow: `y = x + u_hat * tanh(<w, x> + b)`.

    Moves every point along one direction, `u_hat`, by an amount that depends
    on its position along another, `w`.

    #### Mathematical details

    With `s = <w, x> + b`, `h = tanh(s)`, `g = 1 - h**2` and
    `c = <w, u_hat> > -1`:

    - forward: `y = x + u_hat * h`
    - forward log-det: `log(1 + c * g)`
    - inverse: `x = y - u_hat * tanh(s)`, where `s` is the one root of
      `s + c * tanh(s) = <w, y> + b`
    - inverse log-det: `-log(1 + c * g)` at that root

    `u_hat = u + (m(a) - a) * w / |w|**2` with `a = <w, u>` gives `c = m(a)`:

    - `constraint="identity"` (default): `m(a) = -1 + softplus(a + log(e-1))`.
      `u = 0` is the identity, and `u_hat` stays bounded as `w -> 0`.
    - `constraint="paper"`: `m(a) = -1 + softplus(a)` [1, appendix A]. Here
      `u = 0` is not the identity, and `u_hat` grows like `0.307 / |w|`.

    #### Shapes

    The event is `[D]`. `u`, `w`: `[..., D]`; `b`: `[...]`.

        u [D],    w [D],    b []    x [N, D] -> y [N, D]     one map
        u [B, D], w [B, D], b [B]   x [B, D] -> y [B, D]     one per example
        u [B, D], w [B, D], b [B]   x [S, B, D] -> y [S, B, D]

    #### Invertibility

    The map is invertible if and only if `c > -1`, which the constraint ensures
    for all finite `u`, `w`, `b`. As `<w, u> -> -inf`, `c -> -1` and the map
    folds at `s = 0`. At `w = 0` both constraints give `y = x + u * tanh(b)`.

    #### Cost

    Forward and log-det: `O(D)`. Inverse: `O(D)` and a root search on one
    scalar, Newton's method inside a bracket, at most
    `tfp_flows.math.root_finding.MAX_STEPS` steps. No part is sequential in D;
    all of it compiles with XLA.

    #### Numerics

    `1 + c` is kept beside `c`, so that the log-det does not cancel near the
    fold. `u = 0` under `"identity"` gives `y = x` and log-det 0 exactly. The
    inverse has the gradients of the implicit function, to the input and to
    every parameter, up to the third order.

    #### Example

    ```python
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.Planar(u=[1.0, -0.5], w=[0.8, 1.2], b=0.3)
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0, 0.0], [1.0, 1.0]), flow
    )
    q.log_prob([[2.0, -1.0], [0.0, 0.5]])  # any points; shape [2], in nats
    ```

    #### References

    [1] D. Rezende and S. Mohamed. Variational inference with normalizing
        flows. ICML 2015. arXiv:1505.05770, eq. 10-12 and appendix A.
        Deviations: the default constraint; under `"paper"`, within about
        `|w| < 1e-6` the constraint goes over into the default one, because
        the paper's is not defined at `w = 0`.
    """

    _tensors = {"u": 1, "w": 1, "b": 0}

    def __init__(
        self,
        u: TensorLike,
        w: TensorLike,
        b: TensorLike,
        constraint: str = "identity",
        validate_args: bool = False,
        name: str = "planar",
    ) -> None:
        """Constructs a planar flow.

        Args:
          u: direction of the move before the constraint. Shape `[..., D]`.
          w: direction in which the position is read. Shape `[..., D]`.
          b: offset of that position. Shape `[...]`.
          constraint: `"identity"` or `"paper"`, see the class. Default:
            `"identity"`.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "planar".

        Raises:
          ValueError: `u` and `w` differ in D, or an unknown `constraint`.
          TypeError: a `keras.Variable`, dtypes that differ, or a dtype other
            than float32 and float64.
        """
        math.planar.check_constraint(constraint)
        self._constraint = constraint
        super().__init__(dict(locals()))

    @property
    def u(self) -> Any:
        """Direction of the move before the constraint, `[..., D]`."""
        return self._u

    @property
    def w(self) -> Any:
        """Direction in which the position is read, `[..., D]`."""
        return self._w

    @property
    def b(self) -> Any:
        """Offset of the position, `[...]`."""
        return self._b

    @property
    def constraint(self) -> str:
        """Name of the constraint on `<w, u>`."""
        return self._constraint

    def _constrained(self, *tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        u, w, b = tensors
        return math.planar.constrain(u, w, b, self._constraint)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.planar.forward(x, *parameters)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.planar.inverse(y, *parameters)
