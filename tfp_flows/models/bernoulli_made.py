"""MADE as a density of binary vectors."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import likelihoods
from tfp_flows._arguments import as_positive_integer, check_precision
from tfp_flows.layers.made import MADE
from tfp_flows.math import noise
from tfp_flows.models.checked_model import count_non_binary
from tfp_flows.models.event_shapes import check_event_shape, static_event_shape
from tfp_flows.models.inputs.images import select_images
from tfp_flows.models.maximum_likelihood import (
    MaximumLikelihoodModel,
    NoiseKey,
)

__all__ = ["BernoulliMADE"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class BernoulliMADE(MaximumLikelihoodModel):
    """An autoregressive density of binary images or vectors of D elements.

        log p(x) = sum_i log Bernoulli(x_i | logit_i(x before i))    (in nats)

    Trained by maximum likelihood with `fit`, whose progress bar shows
    `log_likelihood`, per example. One pass through the network evaluates a
    density, D passes in one rolled loop draw a sample.

    Example:
    ```python
    import sklearn.datasets

    import tfp_flows

    digits = (sklearn.datasets.load_digits().images > 7).astype("float32")
    model = tfp_flows.models.BernoulliMADE(hidden_units=(64,))
    model.compile("adam")
    model.fit(digits[:1500], batch_size=100, verbose=0)
    model.log_prob(digits[1500:])  # [297]
    images = model.sample(4, seed=1)  # [4, 8, 8]
    ```

    References:
      [1]: Mathieu Germain, Karol Gregor, Iain Murray, Hugo Larochelle. MADE:
           Masked Autoencoder for Distribution Estimation. ICML 2015.
           https://arxiv.org/abs/1502.03509. Deviation: one order and one set of
           masks; there also averages over several.
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (500,),
        activation: str = "relu",
        order: Sequence[int] | None = None,
        event_shape: Sequence[int] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Constructs the model.

        Args:
          hidden_units: sizes of the hidden layers, at least D each.
          activation: elu, gelu, relu, silu or tanh.
          order: the place of each element, 0, ..., D - 1. Default: None, from
            the first to the last.
          event_shape: shape of one image. Default: None, that of the first
            data.
          seed: of the initial weights. Default: None.
          **kwargs: those of `keras.Model`.

        Raises:
          ValueError: an `event_shape` of other than positive integers, or a
            `dtype` with variables in half precision; at `build`, hidden
            layers smaller than D, or an `order` that is no permutation.
        """
        super().__init__(**kwargs)
        check_precision(self)
        self.made = MADE(
            1, hidden_units, activation, order, seed, dtype=self.dtype_policy
        )
        self.likelihood = likelihoods.get("bernoulli")
        self.event_shape = check_event_shape(event_shape)
        self._init_metrics("log_likelihood")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes all weights for images `[B, ...]`.

        Raises:
          ValueError: see the constructor.
        """
        if self.event_shape is None:
            self.event_shape = static_event_shape(input_shape)
        self.made.build((None, self._event_size))
        self.built = True

    @property
    def _event_size(self) -> int:
        size = 1
        for n in self.image_shape:
            size *= n
        return size

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The logits, in the shape of the images."""
        x = tf.reshape(inputs, [-1, self._event_size])
        return tf.reshape(self.made(x), [-1, *self.image_shape])

    def log_prob(self, x: Any) -> tf.Tensor:
        """`log p(x)` of each image, `[N]`, in nats.

        Args:
          x: images in any form that `fit` takes.

        Raises:
          ValueError: the model is not built, or cannot take the images.
        """
        return self._log_prob(tf.convert_to_tensor(self._checked_images(x)))

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(tf.cast(x, self.variable_dtype), [-1, self._event_size])
        loss = tf.nn.sigmoid_cross_entropy_with_logits(x, self.made(x))
        return -tf.reduce_sum(loss, axis=-1)

    def sample(self, n: int, seed: int = 0) -> tf.Tensor:
        """New images, zeros and ones.

        Args:
          n: how many.
          seed: decides the noise.

        Returns:
          `[n, *event_shape]`.

        Raises:
          ValueError: the model is not built, or n is not a positive integer.
        """
        n = as_positive_integer("n", n)
        noise.check_seed(seed)
        self.require_built()
        size = self._event_size
        uniform = noise.uniform(
            (n, size),
            seed=seed,
            step=0,
            purpose="made sample",
            dtype=self.variable_dtype,
        )
        return tf.reshape(self._sampled(uniform), [n, *self.image_shape])

    @tf.function(reduce_retracing=True)
    def _sampled(self, uniform: tf.Tensor) -> tf.Tensor:
        """The images that uniform noise `[N, D]` stands for."""
        sequence = tf.constant(self.made.conditioner.sequence)
        elements = tf.range(len(self.made.conditioner.sequence))

        def body(k: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            drawn = tf.cast(uniform < tf.sigmoid(self.made(x)), x.dtype)
            return k + 1, tf.where(elements == sequence[k], drawn, x)

        return tf.while_loop(
            lambda k, _: k < len(elements),
            body,
            (0, tf.zeros_like(uniform)),
            maximum_iterations=len(elements),
        )[1]

    def _inputs(self, data: Any) -> tf.Tensor:
        return select_images(data)

    def _log_likelihoods(
        self, inputs: tf.Tensor, key: NoiseKey, training: bool
    ) -> tf.Tensor:
        del key, training
        return self._log_prob(inputs)

    def _num_non_binary_in(self, inputs: tf.Tensor) -> tf.Tensor:
        return count_non_binary(inputs)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "hidden_units": self.made.hidden_units,
            "activation": self.made.activation,
            "order": self.made.order,
            "event_shape": self.event_shape,
            "seed": self.made.seed,
        }
