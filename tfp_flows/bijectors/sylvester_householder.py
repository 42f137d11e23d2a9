"""Sylvester flow in coordinates that reflections turn."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors._sylvester import Sylvester
from tfp_flows.bijectors.householder import check_vectors
from tfp_flows.types import TensorLike

__all__ = ["SylvesterHouseholder"]


class SylvesterHouseholder(Sylvester):
    """Sylvester flow `y = z + Q R1 tanh(R2 Q' z + b)`, Q of H reflections.

    D hidden units, in coordinates that H reflections turn.

    #### Mathematical details

    As of `SylvesterOrthogonal` with `M = D`. Q is the product
    `H_1 H_2 ... H_H` of the reflections along `vectors`, see `Householder`.

    - forward: `y = z + Q R1 tanh(R2 Q' z + b)`
    - forward log-det: `sum_i log(1 + (R1)_ii (R2)_ii sech(s_i)**2)`
    - inverse: by back-substitution of D monotone scalar equations
    - inverse log-det: minus that of the forward map, at the roots

    #### Shapes

    The event is `[D]`. `vectors`: `[..., H, D]`, any `H >= 1`; `b`: `[..., D]`;
    `r1` and `r2`: `[..., P]`, `P = D (D + 1) / 2`, packed as by
    `tfp_flows.math.sylvester.pack`: first the diagonal.

        vectors [H, D],    r1, r2 [P],    b [D]      x [N, D] -> y [N, D]
        vectors [B, H, D], r1, r2 [B, P], b [B, D]   x [B, D] -> y [B, D]
        vectors [B, H, D], r1, r2 [B, P], b [B, D]   x [S, B, D] -> y [S, B, D]

    `tfp.experimental.util.make_trainable` takes `H = D`.

    #### Invertibility

    For all finite parameters, as `SylvesterOrthogonal`.

    #### Cost

    Forward and log-det: `O(H D + D**2)` for a point. Inverse: the same, and D
    root searches on a scalar, one after the other. Once for the parameters of
    each map: `O(H**2 D)`.

    #### Numerics

    Those of `SylvesterOrthogonal` and, for Q, of `Householder`. `r1 = 0` gives
    `y = z` and log-det 0 exactly.

    #### Example

    ```python
    import tensorflow as tf
    import tfp_flows

    flow = tfp_flows.bijectors.SylvesterHouseholder(
        vectors=tf.random.normal([4, 2]),  # H = 4, D = 2
        r1=[0.5, -0.3, 1.0],  # (R1)_11 and (R1)_22 before the tanh; (R1)_12
        r2=[0.8, 0.1, -2.0],
        b=[0.0, 0.3],
    )
    x = tf.random.normal([5, 2])
    flow.inverse(flow.forward(x))
    ```

    #### References

    [1] R. van den Berg, L. Hasenclever, J. Tomczak and M. Welling. Sylvester
        normalizing flows for variational inference. UAI 2018.
        arXiv:1803.05649. Deviation: the inverse, which the paper does not give.
    """

    _tensors = {"vectors": 2, **Sylvester._tensors}

    def __init__(
        self,
        vectors: TensorLike,
        r1: TensorLike,
        r2: TensorLike,
        b: TensorLike,
        validate_args: bool = False,
        name: str = "sylvester_householder",
    ) -> None:
        """Constructs a Sylvester flow in reflected coordinates.

        Args:
          vectors: normals of the reflections, of any length. Shape
            `[..., H, D]`.
          r1: R1, packed, before the tanh on its diagonal. Shape
            `[..., D (D + 1) / 2]`.
          r2: R2, alike.
          b: offsets of the units. Shape `[..., D]`.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "sylvester_householder".

        Raises:
          ValueError: the shapes do not fit one D, or H is 0.
          TypeError: a `keras.Variable`, dtypes that differ, or a dtype other
            than float32 and float64.
        """
        super().__init__(dict(locals()))

    def _check_tensors(self) -> None:
        super()._check_tensors()
        _check_reflections(self._vectors, self._b.shape[-1])

    @property
    def vectors(self) -> Any:
        """Normals of the reflections, `[..., H, D]`."""
        return self._vectors

    def _q_parameters(self) -> tuple[tf.Tensor, ...]:
        return math.householder.reflections(tf.convert_to_tensor(self._vectors))

    def _project(
        self, x: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        return math.householder.apply_transpose(x, *q_parameters)

    def _embed(
        self, v: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        return math.householder.apply(v, *q_parameters)


def _check_reflections(vectors: Any, num_units: int) -> None:
    check_vectors(vectors)
    shape = tf.TensorShape(vectors.shape)
    if shape[-1] not in (num_units, None):
        raise ValueError(
            f"`vectors` must have shape [..., H, {num_units}], as `r1` has "
            f"{num_units} rows; got {shape}."
        )
