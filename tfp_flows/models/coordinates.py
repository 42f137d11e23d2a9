"""From data to the standardised vectors that flows see, and back."""

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import inverse_and_log_det
from tfp_flows.layers.standardization import Standardization
from tfp_flows.math import circles
from tfp_flows.models.supports import Support

__all__ = ["Coordinates"]

tfb = tfp.bijectors


class Coordinates:
    """`x = g(m + s * y)`, for flat data x `[N, D]` and y `[N, n]`.

    g is the support's bijector, m and s are those of a `Standardization`.
    Circular coordinates of y are in `[-pi, pi)` and not standardised.
    """

    def __init__(
        self, support: Support, standardization: Standardization
    ) -> None:
        """With a built standardization, of vectors of R^n."""
        self._support = support
        self._standardization = standardization

    def bijector(self) -> tfb.Bijector:
        """From y to x, with mean and scale as they are now."""
        return tfb.Chain(
            [self._support.bijector, self._standardization.bijector()]
        )

    def inverse_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """y, and `log|det dy/dx|`, `[N]`."""
        y, log_det = inverse_and_log_det(self.bijector(), x)
        return self.on_circles(y), log_det

    @property
    def is_circle(self) -> np.ndarray:
        """Which coordinates of y are circular, `[n]`."""
        size = self._standardization.mean.shape[-1]
        return np.isin(np.arange(size), self._support.circular)

    def on_circles(self, y: tf.Tensor) -> tf.Tensor:
        """The same points, circular coordinates in `[-pi, pi)`."""
        if not self._support.circular:
            return y
        return tf.where(self.is_circle, circles.wrap(y, math.pi), y)

    def to_standardize(self, x: tf.Tensor) -> np.ndarray:
        """`m + s * y`, of which mean and scale are to be 0 and 1.

        Circular coordinates, which keep theirs, are 0.
        """
        vectors = self._support.bijector.inverse(x).numpy()
        vectors[:, list(self._support.circular)] = 0.0
        return vectors
