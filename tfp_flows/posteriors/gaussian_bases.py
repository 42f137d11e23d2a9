"""Gaussians that a flow starts from: diagonal, low-rank, full covariance.

A base says which parameters it has, how a sample is made of standard normal
noise, and what its density is. It holds no weights.
"""

import abc
import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import is_positive_integer
from tfp_flows.layers.parameter_head import ParameterSpec
from tfp_flows.math import linear, stable
from tfp_flows.math.constraints import positive

__all__ = ["BASES", "GaussianBase", "get"]

tfd = tfp.distributions

Parameters = dict[str, tf.Tensor]

_ZEROS = keras.initializers.Zeros()


class GaussianBase(abc.ABC):
    """A Gaussian on R^D, as a function of its parameters."""

    def __init__(self, latent_size: int, initial_scale: float) -> None:
        """Keeps the sizes.

        Args:
          latent_size: D.
          initial_scale: standard deviation of every latent at the start.
        """
        self.latent_size = latent_size
        self._initial_scale = initial_scale
        # softplus(initial) = initial_scale
        self._initial = keras.initializers.Constant(
            initial_scale + math.log(-math.expm1(-initial_scale))
        )

    @property
    def noise_size(self) -> int:
        """How many standard normal numbers make one sample."""
        return self.latent_size

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        """Shape and initializers of the parameters."""
        shape = (self.latent_size,)
        return {
            "loc": ParameterSpec(shape, _ZEROS, _loc_kernel()),
            "unconstrained_scale": ParameterSpec(
                shape, self._initial, _small_kernel()
            ),
        }

    @abc.abstractmethod
    def sample(
        self, noise: tf.Tensor, parameters: Parameters
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Sample `[..., D]` of noise `[..., noise_size]`, and its log density.

        The log density is computed from the noise, which is the more exact and
        the cheaper way.
        """

    @abc.abstractmethod
    def distribution(self, parameters: Parameters) -> tfd.Distribution:
        """The Gaussian; batch shape that of the parameters."""


# Made anew for each layer: an initializer draws its seed when it is made.
def _loc_kernel() -> keras.initializers.Initializer:
    return keras.initializers.GlorotUniform()


def _small_kernel() -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(
        0.01, mode="fan_in", distribution="normal"
    )


class DiagonalBase(GaussianBase):
    """`N(loc, diag(scale**2))`, `scale = softplus(unconstrained_scale)`."""

    def sample(
        self, noise: tf.Tensor, parameters: Parameters
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `GaussianBase`."""
        scale = self._scale(parameters)
        log_det = tf.reduce_sum(tf.math.log(scale), axis=-1)
        return (
            parameters["loc"] + scale * noise,
            stable.standard_normal_log_prob(noise) - log_det,
        )

    def distribution(self, parameters: Parameters) -> tfd.Distribution:
        """See `GaussianBase`."""
        return tfd.MultivariateNormalDiag(
            parameters["loc"], self._scale(parameters)
        )

    def _scale(self, parameters: Parameters) -> tf.Tensor:
        return positive(parameters["unconstrained_scale"])


class LogDiagonalBase(DiagonalBase):
    """The same with `scale = exp(log_scale)`."""

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        """See `GaussianBase`."""
        specs = super().parameter_specs()
        scale = specs.pop("unconstrained_scale")
        initial = keras.initializers.Constant(math.log(self._initial_scale))
        return {**specs, "log_scale": scale._replace(initializer=initial)}

    def _scale(self, parameters: Parameters) -> tf.Tensor:
        return tf.exp(parameters["log_scale"])


class FixedBase(LogDiagonalBase):
    """`N(0, initial_scale**2 I)`: nothing of it is trained or amortized."""

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        """See `GaussianBase`."""
        return {
            name: spec._replace(context_initializer=None, trainable=False)
            for name, spec in super().parameter_specs().items()
        }


class FullBase(GaussianBase):
    """`N(loc, L @ L.T)`, L lower triangular with positive diagonal.

    `lower` holds the rows of L below the diagonal one after the other.
    """

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        """See `GaussianBase`."""
        num_lower = self.latent_size * (self.latent_size - 1) // 2
        specs = super().parameter_specs()
        if num_lower:  # Keras warns of weights without elements
            specs["lower"] = ParameterSpec(
                (num_lower,), _ZEROS, _small_kernel()
            )
        return specs

    def sample(
        self, noise: tf.Tensor, parameters: Parameters
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `GaussianBase`."""
        scale_tril = self._scale_tril(parameters)
        log_det = tf.reduce_sum(
            tf.math.log(tf.linalg.diag_part(scale_tril)), axis=-1
        )
        return (
            parameters["loc"] + linear.times(scale_tril, noise),
            stable.standard_normal_log_prob(noise) - log_det,
        )

    def distribution(self, parameters: Parameters) -> tfd.Distribution:
        """See `GaussianBase`."""
        return tfd.MultivariateNormalTriL(
            parameters["loc"], self._scale_tril(parameters)
        )

    def _scale_tril(self, parameters: Parameters) -> tf.Tensor:
        size = self.latent_size
        diagonal = positive(parameters["unconstrained_scale"])
        if size == 1:
            return diagonal[..., tf.newaxis]
        lower = parameters["lower"]
        # Entry (i, j), i > j, is number i (i - 1) / 2 + j of `lower`.
        index = [
            [i * (i - 1) // 2 + j if j < i else -1 for j in range(size)]
            for i in range(size)
        ]
        padded = tf.concat([lower, tf.zeros_like(lower[..., :1])], axis=-1)
        last = size * (size - 1) // 2
        index = [[last if k < 0 else k for k in row] for row in index]
        below = tf.gather(padded, index, axis=-1)
        # XLA refuses the gradient of `set_diag` for batches of unknown size.
        return below + tf.linalg.diag(diagonal)


class LowRankBase(GaussianBase):
    """`N(loc, diag(scale**2) + factor @ factor.T)`, factor `[D, rank]`.

    A sample is `loc + scale * noise_1 + factor @ noise_2`, noise_1 of size D
    and noise_2 of size rank.
    """

    def __init__(
        self, latent_size: int, initial_scale: float, rank: int
    ) -> None:
        """Keeps the sizes; see `GaussianBase`."""
        super().__init__(latent_size, initial_scale)
        self.rank = rank

    @property
    def noise_size(self) -> int:
        """See `GaussianBase`."""
        return self.latent_size + self.rank

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        """See `GaussianBase`."""
        # Not zero, where the gradient of the factor is zero as well.
        small = keras.initializers.RandomNormal(stddev=0.01)
        return {
            **super().parameter_specs(),
            "factor": ParameterSpec(
                (self.latent_size, self.rank), small, _small_kernel()
            ),
        }

    def sample(
        self, noise: tf.Tensor, parameters: Parameters
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `GaussianBase`."""
        first, second = tf.split(noise, [self.latent_size, self.rank], axis=-1)
        scale = positive(parameters["unconstrained_scale"])
        # y has covariance I + G G', and with M = I + G' G
        # y' (I + G G')^-1 y = |y - G w|^2 + |w|^2,  w = M^-1 G' y.
        factor = parameters["factor"] / scale[..., tf.newaxis]
        y = first + linear.times(factor, second)
        gram = tf.matmul(factor, factor, transpose_a=True)
        root = tf.linalg.cholesky(gram + tf.eye(self.rank, dtype=gram.dtype))
        w = linear.times(factor, y, transpose=True)
        w = linear.solve_triangular(root, w, lower=True)
        w = linear.solve_triangular(
            tf.linalg.matrix_transpose(root), w, lower=False
        )
        log_det = tf.reduce_sum(tf.math.log(scale), axis=-1) + tf.reduce_sum(
            tf.math.log(tf.linalg.diag_part(root)), axis=-1
        )
        log_prob = (
            stable.standard_normal_log_prob(y - linear.times(factor, w))
            - 0.5 * tf.reduce_sum(w * w, axis=-1)
            - log_det
        )
        return parameters["loc"] + scale * y, log_prob

    def distribution(self, parameters: Parameters) -> tfd.Distribution:
        """See `GaussianBase`."""
        scale = positive(parameters["unconstrained_scale"])
        return tfd.MultivariateNormalDiagPlusLowRankCovariance(
            parameters["loc"],
            cov_diag_factor=scale * scale,
            cov_perturb_factor=parameters["factor"],
        )


BASES = ("diagonal", "log_diagonal", "low_rank", "full", "fixed")


def get(
    base: str, latent_size: int, initial_scale: float, rank: int
) -> GaussianBase:
    """The base of that name.

    Raises:
      ValueError: an unknown name, or a rank outside 1 ... `latent_size`.
    """
    if base == "diagonal":
        return DiagonalBase(latent_size, initial_scale)
    if base == "log_diagonal":
        return LogDiagonalBase(latent_size, initial_scale)
    if base == "full":
        return FullBase(latent_size, initial_scale)
    if base == "fixed":
        return FixedBase(latent_size, initial_scale)
    if base == "low_rank":
        if not is_positive_integer(rank) or rank > latent_size:
            raise ValueError(
                f"`rank` must be an integer from 1 to latent_size = "
                f"{latent_size}; got {rank!r}."
            )
        return LowRankBase(latent_size, initial_scale, rank)
    known = ", ".join(map(repr, BASES))
    raise ValueError(f"`base` must be one of {known}; got {base!r}.")
