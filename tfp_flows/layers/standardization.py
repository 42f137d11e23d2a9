"""A layer that remembers the mean and the scale of data."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.layers.moments import Moments

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

        Each batch is looked at once and let go; see `Moments`.

        Raises:
          ValueError: there is no vector.
        """
        moments = Moments()
        for batch in batches:
            moments.add(batch)
        if not moments.count:
            raise ValueError(
                "`batches` must hold at least one vector; got none."
            )
        self.take(moments)

    def take(self, moments: Moments) -> None:
        """Takes mean and scale from the moments of vectors `[N, D]`."""
        self.mean.assign(moments.mean)
        self.scale.assign(moments.scale(self.variable_dtype))
        self.count.assign(moments.count)

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
