"""Multiplication by a learned matrix, given by its LU factors."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.bijectors.parameters import check_square
from tfp_flows.types import TensorLike

__all__ = ["LULinear"]


class LULinear(DeclaredTensors):
    """LU-linear map: `y = L U x`, with triangular matrices that are learned.

    Mixes, stretches and contracts between splines, which cannot move what lies
    outside of their bounds. It reaches every matrix whose leading principal
    minors are positive; put a permutation before it for others.

    #### Mathematical details

    L is lower triangular with ones on its diagonal, U upper triangular with
    `exp(a_i)` on its diagonal:

    - forward: `y = L U x`
    - forward log-det: `sum(a)`
    - inverse: `x = U^-1 (L^-1 y)`, by substitution
    - inverse log-det: `-sum(a)`

    `lower_upper` holds the entries of L below its diagonal, those of U above
    it, and `a` on it.

    #### Shapes

    The event is `[D]`; `lower_upper`: `[..., D, D]`.

        lower_upper [D, D]      x [N, D] -> y [N, D]   one map
        lower_upper [B, D, D]   x [B, D] -> y [B, D]   one per example

    #### Invertibility

    Always invertible.

    #### Cost

    `O(D**2)` in both directions; the substitution is sequential in D.

    #### Numerics

    Zeros are the identity. The inverse is as well conditioned as both factors:
    entries off the diagonal of about 1 / sqrt(D) do no harm.

    #### Example

    ```python
    import tfp_flows

    flow = tfp_flows.bijectors.LULinear([[0.0, 2.0], [-1.0, 0.0]])
    flow.forward([[1.0, 0.0], [0.0, 1.0]])
    ```

    #### References

    [1] J. Oliva, A. Dubey, M. Zaheer, B. Poczos, R. Salakhutdinov, E. Xing and
        J. Schneider. Transformation autoregressive networks. ICML 2018.
        arXiv:1801.09819, section 3.2.
    [2] C. Durkan, A. Bekasov, I. Murray and G. Papamakarios. Neural spline
        flows. NeurIPS 2019. arXiv:1906.04032, section 4. Deviations: the
        diagonal of U is an exponential; no offset.
    """

    _tensors = {"lower_upper": 2}

    def __init__(
        self,
        lower_upper: TensorLike,
        validate_args: bool = False,
        name: str = "lu_linear",
    ) -> None:
        """Constructs an LU-linear map.

        Args:
          lower_upper: both factors in one matrix. Shape `[..., D, D]`.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "lu_linear".

        Raises:
          TypeError: a `keras.Variable`, or a dtype other than float32 and
            float64.
          ValueError: `lower_upper` is not square.
        """
        super().__init__(dict(locals()), is_constant_jacobian=True)

    @property
    def lower_upper(self) -> Any:
        """Both factors in one matrix, `[..., D, D]`."""
        return self._lower_upper

    def _check_tensors(self) -> None:
        check_square("lower_upper", self._lower_upper)

    def _constrained(self, *tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return math.lu.factors(*tensors)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.lu.forward(x, math.lu.Factors(*parameters))

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.lu.inverse(y, math.lu.Factors(*parameters))
