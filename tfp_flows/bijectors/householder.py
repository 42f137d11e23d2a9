"""Householder flow, a product of learned reflections."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.types import TensorLike

__all__ = ["Householder"]


class Householder(DeclaredTensors):
    """Householder flow: `y = H_1 H_2 ... H_H x`, a product of reflections.

    An orthogonal map that is learned. It keeps volumes and lengths: alone it
    leaves a standard normal what it is; it turns a normal with a diagonal
    covariance into one with a full covariance, and mixes the coordinates
    between other flows.

    #### Mathematical details

    With `vectors` `v_1, ..., v_H` and `H_j = 1 - 2 v_j v_j' / |v_j|**2`:

    - forward: `y = Q x` with `Q = H_1 ... H_H`, so that `H_H` acts first
    - inverse: `x = Q' y`, the transpose
    - both log-dets: 0

    The product is computed in closed form, `Q = 1 - W' V`, where V holds the
    `v_j / |v_j|` as rows and W solves a triangular system, see
    `tfp_flows.math.householder`. `H = D` reflections give every orthogonal
    matrix of determinant `(-1)**D`, `H = D - 1` every one of determinant
    `(-1)**(D - 1)`.

    #### Shapes

    The event is `[D]`. `vectors`: `[..., H, D]`, any `H >= 1`. The number of
    reflections is part of the parameter's shape, not of the batch.

        vectors [H, D]      x [N, D] -> y [N, D]            one map
        vectors [B, H, D]   x [B, D] -> y [B, D]            one per example
        vectors [B, H, D]   x [S, B, D] -> y [S, B, D]

    `tfp.experimental.util.make_trainable` takes `H = D`.

    #### Invertibility

    For all finite vectors. One that is zero (that has no normal number in it)
    stands for the identity.

    #### Cost

    `O(H D)` for a point, in both directions; `O(H**2 D)` once for the
    parameters of each map, which `Scan` does for all its members at once, in
    matrix products that are sequential only in blocks of 16 reflections. All
    of it compiles with XLA.

    #### Numerics

    `|Q' Q - 1|` is at most `32 (H + 1)` eps in every entry, also where vectors
    are collinear, tiny or huge, and a few eps for vectors in general position.
    This eps is that of the matrix products: much larger for float32 where a
    device computes them in TensorFloat-32 or bfloat16. The direction of a
    vector has no limit as the vector goes to zero: there the map jumps and its
    gradient, of size `1 / |v|`, is set to zero. So start from random vectors,
    never from zeros.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.Householder(tf.random.normal([4, 3]))
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(3), [0.1, 1.0, 2.0]), flow
    )
    q.log_prob([[2.0, -1.0, 0.5], [0.0, 0.5, 0.0]])  # shape [2], in nats
    ```

    #### References

    [1] J. Tomczak and M. Welling. Improving variational auto-encoders using
        Householder flow. 2016. arXiv:1611.09630.
        Deviations: there one reflection is a step of the flow and each vector
        is computed by a network from the one before; here the vectors are
        parameters, and one bijector holds H of them.
    [2] C. Bischof and C. Van Loan. The WY representation for products of
        Householder matrices. SIAM J. Sci. Stat. Comput. 8(1), 1987.
    """

    _tensors = {"vectors": 2}

    def __init__(
        self,
        vectors: TensorLike,
        validate_args: bool = False,
        name: str = "householder",
    ) -> None:
        """Constructs a Householder flow.

        Args:
          vectors: normals of the hyperplanes that points are reflected in, of
            any length. Shape `[..., H, D]`.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "householder".

        Raises:
          ValueError: `vectors` has less than two axes, H is not known, or H or
            D is 0.
          TypeError: a `keras.Variable`, or a dtype other than float32 and
            float64.
        """
        super().__init__(dict(locals()), is_constant_jacobian=True)

    @property
    def vectors(self) -> Any:
        """Normals of the reflections, `[..., H, D]`."""
        return self._vectors

    def _check_tensors(self) -> None:
        check_vectors(self._vectors)

    def _constrained(self, *tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return math.householder.reflections(*tensors)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        y = math.householder.apply(x, *parameters)
        return y, tf.zeros_like(y[..., 0])

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x = math.householder.apply_transpose(y, *parameters)
        return x, tf.zeros_like(x[..., 0])


def check_vectors(vectors: Any) -> None:
    """Raises ValueError unless the shape is `[..., H, D]`, H known."""
    shape = tf.TensorShape(vectors.shape)
    known = shape.rank is not None and shape.rank >= 2 and shape[-2]
    if not known or shape[-1] == 0:
        raise ValueError(
            "`vectors` must have shape [..., H, D] with a known H >= 1 and "
            f"D >= 1; got {shape}."
        )
