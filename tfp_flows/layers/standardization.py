"""A layer that remembers the mean and the scale of data."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["Standardization"]

tfb = tfp.bijectors


@keras.saving.register_keras_serializable(package="tfp_flows")
class Standardization(keras.layers.Layer):
    """`x = mean + scale * y`, with mean and standard deviation of data.

    Per element and never trained. Before `adapt` it is the identity; an element
    that does not vary has scale 1. As a bijector its forward direction goes to
    the data.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for vectors `[..., D]`."""

        def weight(name: str, value: float) -> keras.Variable:
            return self.add_weight(
                name=name,
                shape=(input_shape[-1],),
                initializer=keras.initializers.Constant(value),
                trainable=False,
                autocast=False,
            )

        self.mean, self.scale = weight("mean", 0.0), weight("scale", 1.0)
        self.count = self.add_weight(
            name="count",
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
        )
        self.built = True

    @property
    def is_adapted(self) -> bool:
        """Whether it has seen data."""
        return int(tf.convert_to_tensor(self.count)) > 0

    def adapt(self, batches: Iterable[Any]) -> None:
        """Takes mean and scale from batches of vectors `[N, D]`.

        The moments of the batches are merged in float64, by the formula of
        Chan, Golub and LeVeque (1979).

        Raises:
          ValueError: there is no vector.
        """
        count, mean, squares = 0, 0.0, 0.0
        for batch in batches:
            batch = np.asarray(batch, np.float64)
            if not len(batch):
                continue
            new = batch.mean(axis=0)
            total = count + len(batch)
            delta = new - mean
            squares = (
                squares
                + np.square(batch - new).sum(axis=0)
                + np.square(delta) * (count * len(batch) / total)
            )
            mean = mean + delta * (len(batch) / total)
            count = total
        if not count:
            raise ValueError(
                "`batches` must hold at least one vector; got none."
            )
        scale = np.sqrt(squares / count)
        still = scale <= 1e-6 * np.abs(mean)  # rounding alone
        self.mean.assign(mean)
        self.scale.assign(np.where(still, 1.0, scale))
        self.count.assign(count)

    def bijector(self) -> tfb.Bijector:
        """From standardised vectors to data."""
        return tfb.Chain(
            [
                tfb.Shift(tf.convert_to_tensor(self.mean)),
                tfb.Scale(tf.convert_to_tensor(self.scale)),
            ]
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`(inputs - mean) / scale`."""
        mean = tf.cast(tf.convert_to_tensor(self.mean), inputs.dtype)
        scale = tf.cast(tf.convert_to_tensor(self.scale), inputs.dtype)
        return (inputs - mean) / scale
