"""Sylvester flow with two triangles, in either order of coordinates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import tensor_util
from tfp_flows.bijectors._sylvester import Sylvester
from tfp_flows.bijectors.parameters import refuse_keras_variables
from tfp_flows.types import TensorLike

__all__ = ["SylvesterTriangular"]


class SylvesterTriangular(Sylvester):
    """Sylvester flow `y = z + Q R1 tanh(R2 Q' z + b)`, Q a permutation.

    D hidden units. Q is the identity, or reverses the order of the
    coordinates; steps of a flow should alternate between the two.

    #### Mathematical details

    As of `SylvesterOrthogonal` with `M = D`. `Q = 1` or, where `is_reversed`,
    `(Q z)_i = z_(D + 1 - i)`.

    - forward: `y = z + Q R1 tanh(R2 Q' z + b)`
    - forward log-det: `sum_i log(1 + (R1)_ii (R2)_ii sech(s_i)**2)`
    - inverse: by back-substitution of D monotone scalar equations
    - inverse log-det: minus that of the forward map, at the roots

    #### Shapes

    The event is `[D]`. `b`: `[..., D]`; `r1` and `r2`: `[..., P]`,
    `P = D (D + 1) / 2`, packed as by `tfp_flows.math.sylvester.pack`: first the
    diagonal; `is_reversed`: `[...]`.

        r1, r2 [P],    b [D]      x [N, D] -> y [N, D]         one map
        r1, r2 [B, P], b [B, D]   x [B, D] -> y [B, D]         one per example
        r1, r2 [B, P], b [B, D]   x [S, B, D] -> y [S, B, D]

    In a `Scan` of K members with axes behind the K, `is_reversed` has as many
    of them, of size 1: `[K]`, `[K, 1]`.

    #### Invertibility

    For all finite parameters, as `SylvesterOrthogonal`.

    #### Cost

    Forward and log-det: `O(D**2)` for a point. Inverse: the same, and D root
    searches on a scalar, one after the other.

    #### Numerics

    Those of `SylvesterOrthogonal`; Q is exact. `r1 = 0` gives `y = z` and
    log-det 0 exactly.

    #### Example

    ```python
    import tensorflow as tf
    import tfp_flows

    K, D = 4, 2  # 3 numbers in a triangle
    flow = tfp_flows.bijectors.Scan(
        tfp_flows.bijectors.SylvesterTriangular(
            r1=tf.random.normal([K, 3]),
            r2=tf.random.normal([K, 3]),
            b=tf.random.normal([K, D]),
            is_reversed=[False, True, False, True],
        )
    )
    x = tf.random.normal([5, D])
    flow.inverse(flow.forward(x))
    ```

    #### References

    [1] R. van den Berg, L. Hasenclever, J. Tomczak and M. Welling. Sylvester
        normalizing flows for variational inference. UAI 2018.
        arXiv:1803.05649. Deviation: the inverse, which the paper does not give.
    """

    def __init__(
        self,
        r1: TensorLike,
        r2: TensorLike,
        b: TensorLike,
        is_reversed: TensorLike | None = None,
        validate_args: bool = False,
        name: str = "sylvester_triangular",
    ) -> None:
        """Constructs a Sylvester flow in the coordinates themselves.

        Args:
          r1: R1, packed, before the tanh on its diagonal. Shape
            `[..., D (D + 1) / 2]`.
          r2: R2, alike.
          b: offsets of the units. Shape `[..., D]`.
          is_reversed: whether Q reverses the coordinates. Booleans of shape
            `[...]`. Default: None, it does not.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "sylvester_triangular".

        Raises:
          ValueError: the shapes do not fit one D.
          TypeError: a `keras.Variable`, dtypes that differ, a dtype other than
            float32 and float64, or an `is_reversed` that is not boolean.
        """
        if isinstance(is_reversed, bool):
            # A parameter like any other, not a setting of the class.
            is_reversed = np.array(is_reversed)
        super().__init__(dict(locals()))

    def _keep(self, parameters: Mapping[str, Any]) -> None:
        super()._keep(parameters)
        self._is_reversed = _convert_booleans(parameters["is_reversed"])

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        triangles = super()._parameter_properties(dtype)
        is_reversed = tfp.util.ParameterProperties(
            event_ndims=0,
            shape_fn=lambda sample_shape: sample_shape[:-1],
            is_preferred=False,
        )
        return {**triangles, "is_reversed": is_reversed}

    @property
    def is_reversed(self) -> Any:
        """Whether Q reverses the coordinates, `[...]`; None: it does not."""
        return self._is_reversed

    def _q_parameters(self) -> tuple[tf.Tensor, ...]:
        if self._is_reversed is None:
            return ()
        return (tf.convert_to_tensor(self._is_reversed),)

    def _project(
        self, x: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        if not q_parameters:
            return x
        (is_reversed,) = q_parameters
        return tf.where(
            is_reversed[..., tf.newaxis], tf.reverse(x, axis=[-1]), x
        )

    def _embed(
        self, v: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        return self._project(v, q_parameters)  # It undoes itself.


def _convert_booleans(is_reversed: Any) -> Any:
    if is_reversed is None:
        return None
    refuse_keras_variables(is_reversed=is_reversed)
    converted = tensor_util.convert_nonref_to_tensor(
        is_reversed, name="is_reversed"
    )
    if tf.as_dtype(converted.dtype).base_dtype != tf.bool:
        raise TypeError(
            "`is_reversed` must hold booleans; got "
            f"{tf.as_dtype(converted.dtype).name}."
        )
    return converted
