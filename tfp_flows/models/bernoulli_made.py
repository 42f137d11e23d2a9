"""MADE as a density of binary vectors."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import likelihoods, replicas
from tfp_flows._arguments import as_positive_integer, check_precision
from tfp_flows.layers.made import MADE
from tfp_flows.math import noise
from tfp_flows.models.checked_model import CheckedModel, count_non_binary
from tfp_flows.models.event_shapes import check_event_shape, static_event_shape
from tfp_flows.models.inputs.images import select_images

__all__ = ["BernoulliMADE"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class BernoulliMADE(CheckedModel):
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
        self._log_likelihood = keras.metrics.Mean(
            name="log_likelihood", dtype=self.variable_dtype
        )
        self._init_checked_inputs()

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

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One update on a replica's share of a batch."""
        x = select_images(data)
        batch = replicas.global_batch(tf.shape(x)[0])
        with tf.GradientTape() as tape:
            log_prob = self._log_prob(x)
            loss = replicas.mean_over_global_batch(-log_prob, batch.size)
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_weights
        gradients = tape.gradient(scaled_loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self._update(x, log_prob, batch)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The log-likelihood of a replica's share of a batch."""
        x = select_images(data)
        batch = replicas.global_batch(tf.shape(x)[0])
        return self._update(x, self._log_prob(x), batch)

    def _update(
        self, x: tf.Tensor, log_prob: tf.Tensor, batch: replicas.GlobalBatch
    ) -> dict[str, tf.Tensor]:
        totals = replicas.global_sum(
            {
                "log_prob": tf.reduce_sum(log_prob),
                "non_binary": tf.cast(count_non_binary(x), log_prob.dtype),
            }
        )
        size = tf.cast(batch.size, log_prob.dtype)
        mean = tf.math.divide_no_nan(totals["log_prob"], size)
        self._log_likelihood.update_state(mean, sample_weight=size)
        self._num_non_binary.update_state(totals["non_binary"])
        value = self._log_likelihood.result()
        return {"log_likelihood": value, "loss": -value}

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
