"""Symmetric convolution, `y = idct(magnitude * dct(x))`."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.types import TensorLike

__all__ = ["SymmetricConvolution"]


class SymmetricConvolution(DeclaredTensors):
    """Symmetric convolution: `y = idct(magnitude * dct(x))`.

    A convolution that mirrors the signal at its ends, where
    `CircularConvolution` wraps it around: no edge where its two ends differ.

    #### Mathematical details

    `dct` is the orthonormal DCT-II, with matrix `C`; `g(n) > 0` comes from the
    free real numbers `a(n)`, `c` is `max_log_magnitude`:

        log g(n) = c * tanh(a(n) / c),    n = 0, ..., N - 1

    - forward: `y = C' (g * (C x))`
    - forward log-det: `sum_n log g(n)`
    - inverse: `x = C' ((C y) / g)`
    - inverse log-det: `-sum_n log g(n)`

    The matrix of the map is symmetric and positive definite, with the
    eigenvalues `g`. It is the circular convolution of the half-sample
    symmetric extension, `x_0, ..., x_(N-1), x_(N-1), ..., x_0` of period 2 N,
    with an even kernel of response `g(n)` at the frequencies `n` and `2 N - n`
    (at `n = N` the extension has none), restricted to its first N samples.

    #### Shapes

    The event is `[N]`; `unconstrained_log_magnitude`: `[..., N]`.

        a [N]       x [B, N] -> y [B, N]        one map
        a [B, N]    x [B, N] -> y [B, N]        one per example
        a [B, N]    x [S, B, N] -> y [S, B, N]

    #### Invertibility

    Always invertible: `exp(-c) < g(n) < exp(c)`.

    #### Cost

    Two transforms, `O(N log N)`, in both directions. Nothing is sequential;
    compiles with XLA.

    #### Numerics

    Errors are those of the transform, some eps of the largest coordinate; the
    inverse multiplies them by at most `exp(c)`. `a = 0` gives `y = x` and
    log-det 0 exactly.

    #### Example

    ```python
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.SymmetricConvolution([0.5, -1.0, 0.3, 0.0])
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0] * 4, [1.0] * 4), flow
    )
    q.log_prob([[1.0, 2.0, 0.0, -1.0]])  # any points; shape [1], in nats
    ```

    #### References

    [1] M. Karami, D. Schuurmans, J. Sohl-Dickstein, L. Dinh and D. Duckworth.
        Invertible convolutional flow. NeurIPS 2019. Deviation: the transform
        of the kernel is a free parameter, bounded and positive.
    """

    _tensors = {"unconstrained_log_magnitude": 1}

    def __init__(
        self,
        unconstrained_log_magnitude: TensorLike,
        max_log_magnitude: float = math.symmetric.MAX_LOG_MAGNITUDE,
        validate_args: bool = False,
        name: str = "symmetric_convolution",
    ) -> None:
        """Constructs a symmetric convolution.

        Args:
          unconstrained_log_magnitude: `a`. Shape `[..., N]`.
          max_log_magnitude: `c`, positive. Default: 3, magnitudes from 0.050
            to 20.1.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "symmetric_convolution".

        Raises:
          ValueError: `unconstrained_log_magnitude` is a scalar or has N = 0,
            or `max_log_magnitude` is not positive and finite; at use, events
            of another size.
          TypeError: a `keras.Variable`, or a dtype other than float32 and
            float64.
        """
        math.constraints.check_bound("max_log_magnitude", max_log_magnitude)
        self._max_log_magnitude = max_log_magnitude
        super().__init__(dict(locals()), is_constant_jacobian=True)

    @property
    def unconstrained_log_magnitude(self) -> Any:
        """The logarithms of the magnitudes before the bound, `[..., N]`."""
        return self._unconstrained_log_magnitude

    @property
    def max_log_magnitude(self) -> float:
        """The bound on the logarithms of the magnitudes."""
        return self._max_log_magnitude

    def _constrained(self, *tensors: tf.Tensor) -> math.symmetric.Magnitude:
        return math.symmetric.response(tensors[0], self._max_log_magnitude)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.symmetric.forward(x, *parameters)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.symmetric.inverse(y, *parameters)
