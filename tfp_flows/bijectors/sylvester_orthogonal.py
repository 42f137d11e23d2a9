"""Sylvester flow along M orthonormal columns."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors._sylvester import Sylvester
from tfp_flows.bijectors.householder import check_vectors
from tfp_flows.types import TensorLike

__all__ = ["SylvesterOrthogonal"]


class SylvesterOrthogonal(Sylvester):
    """Sylvester flow `y = z + Q R1 tanh(R2 Q' z + b)`, M orthonormal columns Q.

    M hidden units move every point within the M-dimensional subspace that Q
    spans, as a planar flow moves it along a line. Of the three Sylvester flows
    this is the one with `M < D`.

    #### Mathematical details

    Q is `D x M` with `Q' Q = 1`; R1 and R2 are upper triangular, `M x M`. With
    `v = Q' z`, `s = R2 v + b`, `h = tanh(s)`, `g = 1 - h**2` and
    `c_i = (R1)_ii (R2)_ii > -1`:

    - forward: `y = z + Q R1 h`
    - forward log-det: `sum_i log(1 + c_i g_i)`
    - inverse: `z = y - Q R1 h`, where, for `i = M, ..., 1`, `s_i` is the one
      root of `s_i + c_i tanh(s_i) = t_i`. With `w = Q' y`, the units behind i
      give `t_i = (R2)_ii (w_i - sum_{j>i} (R1)_ij h_j) + sum_{j>i} (R2)_ij v_j
      + b_i`, and then `v_i = w_i - sum_{j>=i} (R1)_ij h_j`
    - inverse log-det: `-sum_i log(1 + c_i g_i)` at these roots

    The diagonals of R1 and R2 are the tanh of what is given, so that both lie
    in (-1, 1). Q is the first M columns of `H_1 H_2 ... H_M`, the product of
    the reflections along `vectors`, see `Householder`.

    #### Shapes

    The event is `[D]`. `vectors`: `[..., M, D]` with `M <= D`; `b`: `[..., M]`;
    `r1` and `r2`: `[..., P]`, `P = M (M + 1) / 2`: first the diagonal, then the
    numbers above it in the order of `tfp_flows.math.sylvester.pack`, which
    packs a matrix.

        vectors [M, D],    r1, r2 [P],    b [M]      x [N, D] -> y [N, D]
        vectors [B, M, D], r1, r2 [B, P], b [B, M]   x [B, D] -> y [B, D]
        vectors [B, M, D], r1, r2 [B, P], b [B, M]   x [S, B, D] -> y [S, B, D]

    `tfp.experimental.util.make_trainable` takes `M = D`.

    #### Invertibility

    The map is invertible if and only if every `c_i > -1`, which the tanh on
    the diagonals ensures for all finite parameters. As `(R1)_ii -> 1` and
    `(R2)_ii -> -1`, or the other way round, the map folds at `s_i = 0`.

    #### Cost

    Forward and log-det: `O(D M + M**2)` for a point. Inverse: the same, and M
    root searches on a scalar, one after the other in a rolled loop, see
    `Planar`; its gradient is a second such loop, without searches. Once for
    the parameters of each map, outside the loop of a `Scan`: `O(D M**2)`.
    All of it compiles with XLA, in a time that hardly depends on M.

    #### Numerics

    `1 + c_i` is kept beside `c_i`, so that the log-det does not cancel near
    the fold. `r1 = 0` gives `y = z` and log-det 0 exactly. `|Q' Q - 1|` is at
    most `16 (M + 1)` eps in every entry, for vectors in any position, where
    matrix products have full precision, see `Householder`. The inverse has the
    gradients of the implicit function, to the input and to every parameter, of
    every order (under XLA of the first two).

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    K, M, D = 4, 2, 3  # P = 3 numbers in a triangle
    flow = tfp_flows.bijectors.Scan(
        tfp_flows.bijectors.SylvesterOrthogonal(
            vectors=tf.random.normal([K, M, D]),
            r1=tf.random.normal([K, 3]),
            r2=tf.random.normal([K, 3]),
            b=tf.random.normal([K, M]),
        )
    )
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(D), tf.ones(D)), flow
    )
    q.log_prob([[2.0, -1.0, 0.5], [0.0, 0.5, 0.0]])  # any points; in nats
    ```

    #### References

    [1] R. van den Berg, L. Hasenclever, J. Tomczak and M. Welling. Sylvester
        normalizing flows for variational inference. UAI 2018.
        arXiv:1803.05649. Deviations: Q comes in closed form, orthonormal to
        rounding, where the paper orthogonalises a matrix by an iteration that
        needs full rank and stops after some steps; the inverse, which the
        paper does not give.
    """

    _tensors = {"vectors": 2, **Sylvester._tensors}

    def __init__(
        self,
        vectors: TensorLike,
        r1: TensorLike,
        r2: TensorLike,
        b: TensorLike,
        validate_args: bool = False,
        name: str = "sylvester_orthogonal",
    ) -> None:
        """Constructs a Sylvester flow in an M-dimensional subspace.

        Args:
          vectors: normals of the reflections that give Q, of any length. Shape
            `[..., M, D]`, `M <= D`.
          r1: R1, packed, before the tanh on its diagonal. Shape
            `[..., M (M + 1) / 2]`.
          r2: R2, alike.
          b: offsets of the units. Shape `[..., M]`.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "sylvester_orthogonal".

        Raises:
          ValueError: the shapes do not fit one M, or `M > D`.
          TypeError: a `keras.Variable`, dtypes that differ, or a dtype other
            than float32 and float64.
        """
        super().__init__(dict(locals()))

    def _check_tensors(self) -> None:
        super()._check_tensors()
        _check_columns(self._vectors, self._b.shape[-1])

    @property
    def vectors(self) -> Any:
        """Normals of the reflections that give Q, `[..., M, D]`."""
        return self._vectors

    def _event_size(self) -> int | None:
        return self._vectors.shape[-1]

    def _q_parameters(self) -> tuple[tf.Tensor, ...]:
        vectors = tf.convert_to_tensor(self._vectors)
        product = math.householder.reflections(vectors)
        return (math.householder.columns(*product, vectors.shape[-2]),)

    def _project(
        self, x: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        return math.linear.times(q_parameters[0], x, transpose=True)

    def _embed(
        self, v: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        return math.linear.times(q_parameters[0], v)


def _check_columns(vectors: Any, num_units: int) -> None:
    check_vectors(vectors)
    shape = tf.TensorShape(vectors.shape)
    if shape[-2] != num_units:
        raise ValueError(
            f"`vectors` must have shape [..., {num_units}, D], as `r1` has "
            f"{num_units} rows; got {shape}."
        )
    if shape[-1] is not None and shape[-1] < num_units:
        raise ValueError(
            "`vectors` must have shape [..., M, D] with M <= D; got "
            f"M = {num_units} > D = {shape[-1]}."
        )
