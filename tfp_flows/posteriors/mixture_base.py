"""A mixture of diagonal Gaussians, for densities of data to start from."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.layers.parameter_head import ParameterSpec
from tfp_flows.math import stable
from tfp_flows.math.constraints import positive
from tfp_flows.posteriors.gaussian_bases import GaussianBase, Parameters

__all__ = ["MixtureBase"]

tfd = tfp.distributions


class MixtureBase(GaussianBase):
    """`sum_m softmax(logits)_m N(loc_m, diag(scale_m**2))`, M components.

    Amortized and without a flow it is the mixture density network. The first
    number of the noise picks the component, through its quantile, so no
    gradient of a sample reaches the weights: it serves densities, not
    posteriors.

    References:
      [1]: Christopher Bishop. Mixture Density Networks. Aston University,
           NCRG/94/004, 1994.
    """

    def __init__(
        self, latent_size: int, initial_scale: float, num_components: int
    ) -> None:
        """Keeps the sizes; see `GaussianBase`."""
        super().__init__(latent_size, initial_scale)
        self.num_components = num_components

    @property
    def noise_size(self) -> int:
        """See `GaussianBase`."""
        return self.latent_size + 1

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        """See `GaussianBase`."""
        shape = (self.num_components, self.latent_size)
        one = super().parameter_specs()
        # Apart from the start, or all components would stay the same.
        apart = keras.initializers.RandomNormal(stddev=self._initial_scale)
        return {
            "logits": ParameterSpec(
                (self.num_components,),
                keras.initializers.Zeros(),
                keras.initializers.GlorotUniform(),
            ),
            "loc": one["loc"]._replace(shape=shape, initializer=apart),
            "unconstrained_scale": one["unconstrained_scale"]._replace(
                shape=shape
            ),
        }

    def sample(
        self, noise: tf.Tensor, parameters: Parameters
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `GaussianBase`."""
        first, rest = tf.split(noise, [1, self.latent_size], axis=-1)
        below = tf.cumsum(tf.nn.softmax(parameters["logits"]), axis=-1)
        is_above = stable.standard_normal_cdf(first) > below[..., :-1]
        component = tf.reduce_sum(tf.cast(is_above, tf.int32), axis=-1)
        is_it = tf.one_hot(component, self.num_components, dtype=noise.dtype)

        def of_component(values: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(is_it[..., tf.newaxis] * values, axis=-2)

        scale = positive(parameters["unconstrained_scale"])
        sample = of_component(parameters["loc"]) + of_component(scale) * rest
        return sample, self.distribution(parameters).log_prob(sample)

    def distribution(self, parameters: Parameters) -> tfd.Distribution:
        """See `GaussianBase`."""
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=parameters["logits"]),
            tfd.MultivariateNormalDiag(
                parameters["loc"], positive(parameters["unconstrained_scale"])
            ),
        )
