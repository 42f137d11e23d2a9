"""Sylvester flows, `y = z + Q R1 tanh(R2 Q' z + b)`, of three kinds of Q."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows._tfp import ps, tensor_util
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.householder import check_vectors, vectors_properties
from tfp_flows.bijectors.parameters import (
    convert_parameters,
    refuse_keras_variables,
)
from tfp_flows.types import TensorLike

__all__ = ["SylvesterHouseholder", "SylvesterOrthogonal", "SylvesterTriangular"]


class _Sylvester(FlowBijector):
    """The core of the three: R1, R2 and b. A subclass says what Q is."""

    _r1: Any
    _r2: Any
    _b: Any

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype  # The same for every dtype.
        triangle = tfp.util.ParameterProperties(
            event_ndims=1, shape_fn=_packed_shape
        )
        return {
            "r1": triangle,
            "r2": triangle,
            "b": tfp.util.ParameterProperties(event_ndims=1),
        }

    @property
    def r1(self) -> Any:
        """R1 before the tanh, packed, `[..., M (M + 1) / 2]`."""
        return self._r1

    @property
    def r2(self) -> Any:
        """R2 before the tanh, packed, `[..., M (M + 1) / 2]`."""
        return self._r2

    @property
    def b(self) -> Any:
        """Offsets of the units, `[..., M]`."""
        return self._b

    @abc.abstractmethod
    def _q_parameters(self) -> tuple[tf.Tensor, ...]:
        """Tensors that Q is made of, for all members of a `Scan` at once."""

    @abc.abstractmethod
    def _project(
        self, x: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """`Q' x`, `[..., M]`."""

    @abc.abstractmethod
    def _embed(
        self, v: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """`Q v`, `[..., D]`."""

    def _constrained_parameters(self) -> tuple[tf.Tensor, ...]:
        constrained = math.sylvester.constrain(
            tf.convert_to_tensor(self._r1),
            tf.convert_to_tensor(self._r2),
            tf.convert_to_tensor(self._b),
        )
        return *constrained, *self._q_parameters()

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        constrained, q_parameters = parameters[:5], parameters[5:]
        move, fldj = math.sylvester.forward(
            self._project(x, q_parameters), *constrained
        )
        return x + self._embed(move, q_parameters), fldj

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        constrained, q_parameters = parameters[:5], parameters[5:]
        move, ildj = math.sylvester.inverse(
            self._project(y, q_parameters), *constrained
        )
        return y - self._embed(move, q_parameters), ildj


class SylvesterOrthogonal(_Sylvester):
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
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            converted = convert_parameters(vectors=vectors, r1=r1, r2=r2, b=b)
            self._vectors, self._r1, self._r2, self._b = converted.values()
            num_units = _check_units(self._r1, self._r2, self._b)
            _check_columns(self._vectors, num_units)
            super().__init__(
                forward_min_event_ndims=1,
                dtype=self._r1.dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        triangles = super()._parameter_properties(dtype)
        return {"vectors": vectors_properties(), **triangles}

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


class SylvesterHouseholder(_Sylvester):
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
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            converted = convert_parameters(vectors=vectors, r1=r1, r2=r2, b=b)
            self._vectors, self._r1, self._r2, self._b = converted.values()
            num_units = _check_units(self._r1, self._r2, self._b)
            _check_reflections(self._vectors, num_units)
            super().__init__(
                forward_min_event_ndims=1,
                dtype=self._r1.dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        triangles = super()._parameter_properties(dtype)
        return {"vectors": vectors_properties(), **triangles}

    @property
    def vectors(self) -> Any:
        """Normals of the reflections, `[..., H, D]`."""
        return self._vectors

    def _event_size(self) -> int:
        return self._b.shape[-1]

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


class SylvesterTriangular(_Sylvester):
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
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            converted = convert_parameters(r1=r1, r2=r2, b=b)
            self._r1, self._r2, self._b = converted.values()
            _check_units(self._r1, self._r2, self._b)
            self._is_reversed = _convert_booleans(is_reversed)
            super().__init__(
                forward_min_event_ndims=1,
                dtype=self._r1.dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

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

    def _event_size(self) -> int:
        return self._b.shape[-1]

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


def _packed_shape(event_shape: Any) -> Any:
    """Shape of a packed triangle with a row for each coordinate."""
    shape = ps.convert_to_shape_tensor(event_shape)
    packed_size = shape[-1:] * (shape[-1:] + 1) // 2
    return ps.concat([shape[:-1], packed_size], axis=0)


def _check_units(r1: Any, r2: Any, b: Any) -> int:
    """M. Raises ValueError unless the triangles and `b` are of one M >= 1."""
    num_units, others = _num_units("r1", r1), _num_units("r2", r2)
    if num_units != others:
        raise ValueError(
            "`r1` and `r2` must have triangles of one size M; got "
            f"M = {num_units} from {tf.TensorShape(r1.shape)} and "
            f"M = {others} from {tf.TensorShape(r2.shape)}."
        )
    shape = tf.TensorShape(b.shape)
    if not shape.rank or shape[-1] != num_units:
        raise ValueError(
            f"`b` must have shape [..., {num_units}], as `r1` has "
            f"{num_units} rows; got {shape}."
        )
    return num_units


def _num_units(name: str, packed: Any) -> int:
    shape = tf.TensorShape(packed.shape)
    size = shape[-1] if shape.rank else None
    num_units = None if size is None else math.sylvester.num_units(size)
    if num_units is None:
        raise ValueError(
            f"`{name}` must have shape [..., M (M + 1) / 2], a packed triangle "
            f"of known size M >= 1; got {shape}."
        )
    return num_units


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


def _check_reflections(vectors: Any, num_units: int) -> None:
    check_vectors(vectors)
    shape = tf.TensorShape(vectors.shape)
    if shape[-1] not in (num_units, None):
        raise ValueError(
            f"`vectors` must have shape [..., H, {num_units}], as `r1` has "
            f"{num_units} rows; got {shape}."
        )


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
