"""MADE as a density of binary vectors."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import likelihoods
from tfp_flows._arguments import as_positive_integer, check_precision
from tfp_flows.layers.made_sets import MADESets
from tfp_flows.math import noise
from tfp_flows.models import row_passes
from tfp_flows.models.checked_model import count_non_binary
from tfp_flows.models.event_shapes import check_event_shape, static_event_shape
from tfp_flows.models.inputs.images import select_images
from tfp_flows.models.maximum_likelihood import (
    MaximumLikelihoodModel,
    NoiseKey,
)
from tfp_flows.types import TensorLike

__all__ = ["BernoulliMADE"]

_MOST_AT_ONCE = 10_000  # rows, of what replicas share


@keras.saving.register_keras_serializable(package="tfp_flows")
class BernoulliMADE(MaximumLikelihoodModel):
    """An autoregressive density of binary images or vectors of D elements.

        log p(x) = sum_i log Bernoulli(x_i | logit_i(x before i))    (in nats)

    Trained by maximum likelihood with `fit`, whose progress bar shows
    `log_likelihood`, per example. One pass through the network evaluates a
    density, D passes in one rolled loop draw a sample.

    The network has M sets of masks, drawn at random, each with an order of the
    elements. Each update trains it under one of them, in turn; the density is
    the mean of the M, which costs M passes. Random orders suit images better
    than that of the pixels, in which few hidden units see the neighbours of a
    pixel before it, and none those behind it.

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
           https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (500,),
        activation: str = "relu",
        order: Sequence[int] | None = None,
        event_shape: Sequence[int] | None = None,
        seed: int | None = None,
        num_masks: int = 1,
        direct_connections: bool = True,
        **kwargs: Any,
    ) -> None:
        """Constructs the model.

        Args:
          hidden_units: sizes of the hidden layers.
          activation: elu, gelu, relu, silu or tanh.
          order: the place of each element, 0, ..., D - 1, in every set of
            masks. Default: None, drawn for each.
          event_shape: shape of one image. Default: None, that of the first
            data.
          seed: of the initial weights and the masks. Default: None.
          num_masks: M, at least 1: how many sets of masks are drawn. Default:
            1.
          direct_connections: whether a masked linear map of the inputs is added
            to the logits. Default: True.
          **kwargs: those of `keras.Model`.

        Raises:
          ValueError: an `event_shape` of other than positive integers, or a
            `dtype` with variables in half precision; hidden layers of other
            sizes than positive integers; at `build`, an `order` that is no
            permutation.
        """
        super().__init__(**kwargs)
        check_precision(self)
        self.num_masks = as_positive_integer("num_masks", num_masks)
        self.made = MADESets(
            self.num_masks,
            hidden_units,
            activation,
            order,
            direct_connections,
            seed,
            dtype=self.dtype_policy,
        )
        self._arguments = {
            "hidden_units": tuple(hidden_units),
            "activation": activation,
            "order": None if order is None else tuple(order),
            "seed": seed,
            "num_masks": self.num_masks,
            "direct_connections": direct_connections,
        }
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
        """The logits, in the shape of the images; under the first masks."""
        x = tf.reshape(inputs, [-1, self._event_size])
        return tf.reshape(self.made(x), [-1, *self.image_shape])

    def log_prob(self, x: Any) -> tf.Tensor:
        """`log p(x)` of each image, `[N]`, in nats.

        Args:
          x: images in any form that `fit` takes.

        Raises:
          ValueError: the model is not built, or cannot take the images.
        """
        x = tf.convert_to_tensor(self._checked_images(x))
        return self._shared("log_prob", lambda x, *_: self._log_prob(x), x)

    def _shared(
        self, name: str, function: row_passes.RowFunction, rows: Any
    ) -> tf.Tensor:
        """The function of rows, of which each replica takes its share."""
        if not self._is_shared:
            return function(rows, 0, 0)
        return self._by_replicas(name, function, rows, at_once=_MOST_AT_ONCE)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        if self.num_masks == 1:
            return self._log_prob_of_set(x, 0)
        log_probs = tf.map_fn(
            lambda index: self._log_prob_of_set(x, index),
            tf.range(self.num_masks),
            fn_output_signature=self.variable_dtype,
        )
        return tf.reduce_logsumexp(log_probs, axis=0) - math.log(self.num_masks)

    def _log_prob_of_set(self, x: tf.Tensor, index: TensorLike) -> tf.Tensor:
        """Under the masks of that index."""
        x = tf.reshape(tf.cast(x, self.variable_dtype), [-1, self._event_size])
        logits = self.made(x, index=index)
        loss = tf.nn.sigmoid_cross_entropy_with_logits(x, logits)
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
        return tf.reshape(
            self._sampled_of_masks(uniform, seed), [n, *self.image_shape]
        )

    def _sampled_of_masks(self, uniform: tf.Tensor, seed: int) -> tf.Tensor:
        """As `_sampled`, each image under one of the sets of masks."""

        def sampled(rows: Any, *_: Any) -> tf.Tensor:
            return self._sampled(rows["uniform"], rows["index"][0])

        def of_set(uniform: tf.Tensor, index: int) -> tf.Tensor:
            indices = tf.fill([uniform.shape[0]], tf.constant(index))
            rows = {"uniform": uniform, "index": indices}
            return self._shared("sample", sampled, rows)

        n, num_sets = uniform.shape[0], self.num_masks
        if num_sets == 1:
            return of_set(uniform, 0)
        drawn = noise.uniform(
            (n,), seed=seed, step=0, purpose="masks of made sample"
        )
        index = np.floor(num_sets * drawn.numpy()).astype(int)
        x = np.empty(uniform.shape, self.variable_dtype)
        for one in np.unique(index):
            rows = np.flatnonzero(index == one)
            x[rows] = of_set(tf.gather(uniform, rows), int(one))
        return tf.constant(x)

    @tf.function(reduce_retracing=True, autograph=False)
    def _sampled(self, uniform: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        """The images that uniform noise `[N, D]` stands for, under one set."""
        size = self._event_size
        # What no pass changes is computed before them.
        sequence = self.made.sequence(index)
        parameters = self.made.parameters(index)
        elements = tf.range(size)

        def body(k: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            probabilities = tf.sigmoid(
                self.made.constrained_call(x, parameters)
            )
            drawn = tf.cast(uniform < probabilities, x.dtype)
            return k + 1, tf.where(elements == sequence[k], drawn, x)

        return tf.while_loop(
            lambda k, _: k < size,
            body,
            (0, tf.zeros_like(uniform)),
            maximum_iterations=size,
        )[1]

    def _inputs(self, data: Any) -> tf.Tensor:
        return select_images(data)

    def _log_likelihoods(
        self, inputs: tf.Tensor, key: NoiseKey, training: bool
    ) -> tf.Tensor:
        if not training or self.num_masks == 1:
            return self._log_prob(inputs)
        index = tf.math.floormod(tf.cast(key.step, tf.int32), self.num_masks)
        return self._log_prob_of_set(inputs, index)

    def _num_non_binary_in(self, inputs: tf.Tensor) -> tf.Tensor:
        return count_non_binary(inputs)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            **self._arguments,
            "event_shape": self.event_shape,
        }
