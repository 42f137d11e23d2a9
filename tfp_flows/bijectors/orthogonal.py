"""Multiplication by a fixed orthogonal matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.bijectors.parameters import (
    check_square,
    static_value,
)
from tfp_flows.types import TensorLike

__all__ = ["Orthogonal"]

# Largest entry of |Q' Q - 1|, over sqrt(eps): far above the rounding of any
# decomposition, far below a matrix that is another one.
_TOLERANCE = 0.1


class Orthogonal(DeclaredTensors):
    """Orthogonal mixing: `y = matrix x`, the matrix given.

    Mixes the coordinates between couplings. Its matrix is taken as it is; for
    an orthogonal matrix that is learned, see `Householder`.

    #### Mathematical details

    With `matrix' matrix = 1`:

    - forward: `y = matrix x`
    - inverse: `x = matrix' y`
    - both log-dets: `0`

    #### Shapes

    The event is `[D]`; `matrix`: `[..., D, D]`.

        matrix [D, D]      x [N, D] -> y [N, D]
        matrix [B, D, D]   x [B, D] -> y [B, D]     one per example

    #### Invertibility

    By the transpose, as far as the matrix is orthogonal. This is checked where
    the value is known statically.

    #### Cost

    `O(D**2)`.

    #### Example

    ```python
    import tfp_flows

    flow = tfp_flows.bijectors.Orthogonal([[0.6, -0.8], [0.8, 0.6]])
    flow.forward([[1.0, 0.0], [0.0, 1.0]])
    ```
    """

    _tensors = {"matrix": 2}

    def __init__(
        self,
        matrix: TensorLike,
        validate_args: bool = False,
        name: str = "orthogonal",
    ) -> None:
        """Constructs an orthogonal map.

        Args:
          matrix: orthogonal. Shape `[..., D, D]`.
          validate_args: only reaches the base class. Default: False.
          name: name of the ops. Default: "orthogonal".

        Raises:
          TypeError: a `keras.Variable`, or a dtype other than float32 and
            float64.
          ValueError: `matrix` is not square, or known not to be orthogonal.
        """
        super().__init__(dict(locals()), is_constant_jacobian=True)

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype  # The same for every dtype.
        return {
            "matrix": tfp.util.ParameterProperties(
                event_ndims=2, is_preferred=False
            )
        }

    @property
    def matrix(self) -> Any:
        """The orthogonal matrix, `[..., D, D]`."""
        return self._matrix

    def _check_tensors(self) -> None:
        _check(self._matrix)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        y = math.linear.times(parameters[0], x)
        return y, tf.zeros_like(y[..., 0])

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x = math.linear.times(parameters[0], y, transpose=True)
        return x, tf.zeros_like(x[..., 0])


def _check(matrix: Any) -> None:
    check_square("matrix", matrix)
    values = static_value(matrix)
    if values is None:
        return
    gram = np.swapaxes(values, -1, -2) @ values
    error = np.abs(gram - np.eye(values.shape[-1])).max(initial=0.0)
    if not error <= _TOLERANCE * np.sqrt(np.finfo(values.dtype).eps):
        raise ValueError(
            "`matrix` must be orthogonal; got one with an entry of "
            f"|matrix' matrix - 1| of {error:.3g}."
        )
