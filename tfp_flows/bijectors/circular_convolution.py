"""Circular convolution of signals and of images, in the frequency domain."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.bijectors.parameters import convert_parameters, static_value
from tfp_flows.types import TensorLike

__all__ = ["CircularConvolution", "CircularConvolution2D"]

MAX_LOG_MAGNITUDE = math.circulant.MAX_LOG_MAGNITUDE


class _CircularConvolution(DeclaredTensors):
    """Circular convolution over all the axes of an event."""

    _tensors = {"unconstrained_spectrum": 1}
    _event_ndims: int
    _axes: tuple[str, ...]

    def __init__(
        self,
        unconstrained_spectrum: TensorLike,
        max_log_magnitude: float = MAX_LOG_MAGNITUDE,
        validate_args: bool = False,
        name: str = "circular_convolution",
    ) -> None:
        """Constructs a circular convolution.

        Args:
          unconstrained_spectrum: `A`, one free real number for each frequency.
            Shape `[..., N]`, or `[..., H, W]` for images.
          max_log_magnitude: `c`, positive. Default: 3, magnitudes from 0.050
            to 20.1.
          validate_args: whether to check values at run time. No value is
            invalid, so this only reaches the base class. Default: False.
          name: name of the ops. Default: "circular_convolution".

        Raises:
          ValueError: `unconstrained_spectrum` has too few axes or an empty
            one, or `max_log_magnitude` is not positive and finite; at use,
            events of another shape.
          TypeError: a `keras.Variable`, or a dtype other than float32 and
            float64.
        """
        math.constraints.check_bound("max_log_magnitude", max_log_magnitude)
        self._max_log_magnitude = max_log_magnitude
        super().__init__(
            dict(locals()), self._event_ndims, is_constant_jacobian=True
        )

    def _check_tensors(self) -> None:
        self._check_axes("unconstrained_spectrum", self._unconstrained_spectrum)

    @classmethod
    def from_kernel(
        cls,
        kernel: TensorLike,
        max_log_magnitude: float = MAX_LOG_MAGNITUDE,
        **kwargs: Any,
    ) -> Self:
        """The convolution with a given kernel, as it is now.

        Its spectrum is computed here, once: a variable is not followed.

        Args:
          kernel: real, as long as the signal, or as large as the image.
            Shape `[..., N]`, or `[..., H, W]`.
          max_log_magnitude: as in the class.
          **kwargs: the other arguments of the class.

        Raises:
          ValueError: the frequency response is not within the magnitudes
            that `max_log_magnitude` allows, or is negative at a frequency
            that is its own opposite (0 and, for even N, N / 2); or those of
            the class. Values are checked where they are known, that is not in
            a graph: there, the response is changed to the nearest magnitude
            and to plus.
          TypeError: those of the class.
        """
        math.constraints.check_bound("max_log_magnitude", max_log_magnitude)
        kernel = tf.convert_to_tensor(
            convert_parameters(kernel=kernel)["kernel"]
        )
        cls._check_axes("kernel", kernel)
        values = static_value(kernel)
        if values is not None:
            _check_response(values, max_log_magnitude, cls._event_ndims)
        spectrum = math.circulant.spectrum_of_kernel(
            kernel, max_log_magnitude, cls._event_ndims
        )
        return cls(spectrum, max_log_magnitude, **kwargs)

    @classmethod
    def _check_axes(cls, name: str, value: Any) -> None:
        shape = tf.TensorShape(value.shape)
        event = shape[-cls._event_ndims :]
        if shape.rank is not None and (
            shape.rank < cls._event_ndims or 0 in event
        ):
            axes = ", ".join(cls._axes)
            raise ValueError(
                f"`{name}` must have shape [..., {axes}] with {axes} >= 1; "
                f"got {shape}."
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype  # The same for every dtype.
        return {
            "unconstrained_spectrum": tfp.util.ParameterProperties(
                event_ndims=cls._event_ndims
            )
        }

    @property
    def unconstrained_spectrum(self) -> Any:
        """The free real numbers, of the shape of the events."""
        return self._unconstrained_spectrum

    @property
    def max_log_magnitude(self) -> float:
        """The bound on the logarithm of the response's magnitude."""
        return self._max_log_magnitude

    @property
    def kernel(self) -> tf.Tensor:
        """The kernel: the image of the unit impulse at index 0.

        In one dimension, the first column of the circulant matrix.
        """
        shape = tf.shape(self._unconstrained_spectrum)[-self._event_ndims :]
        static = self._event_shape()
        response = math.circulant.Response(*self._constrained_parameters())
        return math.circulant.kernel(
            *response,
            event_shape=static if static.is_fully_defined() else shape,
        )

    def _event_shape(self) -> tf.TensorShape:
        shape = tf.TensorShape(self._unconstrained_spectrum.shape)
        return shape[-self._event_ndims :]

    def _constrained(self, *tensors: tf.Tensor) -> math.circulant.Response:
        return math.circulant.response(
            tensors[0], self._max_log_magnitude, self._event_ndims
        )

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        response = math.circulant.Response(*parameters)
        return math.circulant.forward(x, *response, self._event_ndims)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        response = math.circulant.Response(*parameters)
        return math.circulant.inverse(y, *response, self._event_ndims)


class CircularConvolution(_CircularConvolution):
    """Circular convolution: `y = irfft(K * rfft(x))`, with no zero in `K`.

    A linear map of all the coordinates that costs `O(N log N)`. A stack of
    them with nothing in between is one convolution, whose response is the
    product: put a nonlinearity (`SLog`), a scale per coordinate or a coupling
    between them.

    #### Mathematical details

    `K(n)`, the response at the frequencies `n = 0, ..., N - 1`, comes from as
    many free real numbers `A(n)`; indices are modulo N, `c` is
    `max_log_magnitude`:

        log|K(n)| = c * tanh((A(n) + A(-n)) / (2 * c))
        phase of K(n) = (A(n) - A(-n)) / 2

    Then `K(-n)` is the conjugate of `K(n)`, so that the kernel
    `k = irfft(K)` is real:

    - forward: `y[i] = sum_n k[(i - n) mod N] * x[n]`
    - forward log-det: `sum_n log|K(n)|`, over all N frequencies
    - inverse: the convolution with response `1 / K`
    - inverse log-det: `-sum_n log|K(n)|`

    The matrix of the map is circulant, with `k` as its first column.

    #### Shapes

    The event is `[N]`, N odd or even, also 1. `unconstrained_spectrum`:
    `[..., N]`.

        A [N]       x [B, N] -> y [B, N]        one map
        A [B, N]    x [B, N] -> y [B, N]        one per example
        A [B, N]    x [S, B, N] -> y [S, B, N]

    #### Invertibility

    Always invertible: `exp(-c) < |K(n)| < exp(c)`. The response at frequency
    0 and, for even N, at N / 2 is positive. Any phase elsewhere, and any
    magnitude within the bound, is reached.

    #### Cost

    Two real transforms, `O(N log N)`, in both directions, and four for the
    gradients, of which two are those of the forward pass. Nothing is
    sequential; compiles with XLA.

    #### Numerics

    Errors are those of the transform, some eps of the largest coordinate; the
    inverse multiplies them by at most `exp(c)`. `A = 0` gives `y = x` and
    log-det 0 exactly. Derivatives of any order are convolutions as well.

    #### Example

    ```python
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.CircularConvolution([0.5, -1.0, 0.3, 0.0, 1.0])
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0] * 5, [1.0] * 5), flow
    )
    q.log_prob([[1.0, 2.0, 0.0, -1.0, 0.5]])  # any points; shape [1], in nats
    blur = tfp_flows.bijectors.CircularConvolution.from_kernel(
        [0.6, 0.2, 0.0, 0.0, 0.2]
    )
    blur.forward([0.0, 0.0, 1.0, 0.0, 0.0])  # [0.0, 0.2, 0.6, 0.2, 0.0]
    ```

    #### References

    [1] M. Karami, D. Schuurmans, J. Sohl-Dickstein, L. Dinh and D. Duckworth.
        Invertible convolutional flow. NeurIPS 2019. Deviation: the bounded
        parametrisation of the spectrum; there, the kernel is free and its
        response may vanish.
    """

    _event_ndims = 1
    _axes = ("N",)


class CircularConvolution2D(_CircularConvolution):
    """Circular convolution of images: `y = irfft2d(K * rfft2d(x))`.

    As `CircularConvolution`, along both axes of an image that wraps around at
    its edges.

    #### Mathematical details

    `K(m, n)` comes from `A(m, n)`, as in `CircularConvolution`, the opposite
    of a frequency `(m, n)` being `(-m mod H, -n mod W)`:

    - forward: `y[i, j] = sum_mn k[(i - m) mod H, (j - n) mod W] * x[m, n]`
    - forward log-det: `sum_mn log|K(m, n)|`, over all `H * W` frequencies
    - inverse: the convolution with response `1 / K`
    - inverse log-det: `-sum_mn log|K(m, n)|`

    #### Shapes

    The event is `[H, W]`, each odd or even; `unconstrained_spectrum`:
    `[..., H, W]`.

        A [H, W]       x [B, H, W] -> y [B, H, W]       one map
        A [B, H, W]    x [B, H, W] -> y [B, H, W]       one per example
        A [C, H, W]    x [B, C, H, W] -> y [B, C, H, W] one per channel

    #### Invertibility

    Always invertible: `exp(-c) < |K(m, n)| < exp(c)`. The response is
    positive at the frequencies that are their own opposite, of which there
    are one, two or four: 0, or half of an even size, along each axis.

    #### Cost

    Two real transforms, `O(H * W * log(H * W))`, in both directions; see
    `CircularConvolution`.

    #### Numerics

    Those of `CircularConvolution`. TensorFlow's own gradient of `rfft2d`,
    which multiplies by an `[H, H]` matrix, is not used.

    #### Example

    ```python
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tfp_flows

    tfd = tfp.distributions
    flow = tfp_flows.bijectors.CircularConvolution2D(
        tf.random.normal([28, 28])
    )
    q = tfd.TransformedDistribution(
        tfd.Sample(tfd.Normal(0.0, 1.0), [28, 28]), flow
    )
    q.log_prob(tf.zeros([3, 28, 28]))  # any images; shape [3], in nats
    ```

    #### References

    [1] M. Karami, D. Schuurmans, J. Sohl-Dickstein, L. Dinh and D. Duckworth.
        Invertible convolutional flow. NeurIPS 2019. Deviation: as in
        `CircularConvolution`.
    """

    _event_ndims = 2
    _axes = ("H", "W")


def _check_response(
    kernel: np.ndarray, max_log_magnitude: float, event_ndims: int
) -> None:
    """Raises ValueError unless a spectrum within the bound gives `kernel`."""
    axes = tuple(range(-event_ndims, 0))
    response = np.fft.fftn(kernel.astype(np.float64), axes=axes)
    magnitude = np.abs(response)
    low, high = magnitude.min(), magnitude.max()
    if not np.exp(-max_log_magnitude) < low <= high < np.exp(max_log_magnitude):
        raise ValueError(
            "`kernel` must have a frequency response of magnitudes within "
            f"exp(-{max_log_magnitude:g}) and exp({max_log_magnitude:g}); got "
            f"magnitudes from {low:.3g} to {high:.3g}."
        )
    for index in np.ndindex(
        *(2 - size % 2 for size in kernel.shape[axes[0] :])
    ):
        sizes = kernel.shape[axes[0] :]
        frequency = tuple(i * n // 2 for i, n in zip(index, sizes, strict=True))
        lowest = response[(..., *frequency)].real.min()
        if not lowest > 0.0:
            raise ValueError(
                "`kernel` must have a positive response at the frequencies "
                "that are their own opposite (0 and half of an even size); "
                f"got {lowest:.3g} at frequency {frequency}."
            )
