"""A surrogate posterior with weights of its own: Gaussian, then flow."""

import math

import keras
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["SurrogatePosterior"]

tfd = tfp.distributions


class SurrogatePosterior(keras.layers.Layer):
    """A diagonal Gaussian and a flow behind it, both with weights."""

    def __init__(
        self,
        flow: keras.layers.Layer,
        initial_scale: float = 1.0,
        name: str = "surrogate_posterior",
    ) -> None:
        """Makes the layer; `build((None, D))` makes its weights.

        Args:
          flow: layer with a method `bijector()`.
          initial_scale: standard deviation of the Gaussian at the start.
          name: of the layer.
        """
        super().__init__(name=name)
        self.flow = flow
        self.initial_scale = initial_scale

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes `loc`, `log_scale` and the weights of the flow."""
        event_size = input_shape[-1]
        self.loc = self.add_weight(
            shape=(event_size,), initializer="zeros", name="loc"
        )
        self.log_scale = self.add_weight(
            shape=(event_size,),
            initializer=keras.initializers.Constant(
                math.log(self.initial_scale)
            ),
            name="log_scale",
        )
        self.flow.build(input_shape)
        super().build(input_shape)

    def base_distribution(self) -> tfd.Distribution:
        """The Gaussian that the flow starts from."""
        return tfd.MultivariateNormalDiag(
            tf.convert_to_tensor(self.loc),
            tf.exp(tf.convert_to_tensor(self.log_scale)),
        )

    def distribution(self) -> tfd.Distribution:
        """The density behind the flow; its `log_prob` takes any point."""
        return tfd.TransformedDistribution(
            self.base_distribution(), self.flow.bijector()
        )

    def sample_and_log_prob(
        self, standard_normal: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Pushes noise through; needs no inverse.

        Args:
          standard_normal: independent standard normal noise, `[N, D]`.

        Returns:
          Samples `[N, D]` and their log density `[N]`.
        """
        base = self.base_distribution()
        bijector = self.flow.bijector()
        start = base.loc + base.scale.diag_part() * standard_normal
        log_det = bijector.forward_log_det_jacobian(start, event_ndims=1)
        return bijector.forward(start), base.log_prob(start) - log_det
