"""Masked networks that share their weights, under several sets of masks."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors import MLPConditioner
from tfp_flows.layers import initializers
from tfp_flows.layers.made import kernel_initializer
from tfp_flows.types import TensorLike

__all__ = ["MADESets"]


class MADESets(keras.layers.Layer):
    """MADE with M sets of masks, drawn at random: orders and degrees.

    Under a set of masks output i is a function of the inputs before i in the
    order of that set alone. The one order of M = 1 is that of the coordinates.
    The degrees of hidden units are drawn uniformly, from the lowest one of the
    layer before up to D - 1, so that layers can have less than D units.

    Orders and degrees are weights that are not trained, so that they are saved
    with the others; the masks are made of them at every use.

    References:
      [1]: Mathieu Germain, Karol Gregor, Iain Murray, Hugo Larochelle. MADE:
           Masked Autoencoder for Distribution Estimation. ICML 2015.
           https://arxiv.org/abs/1502.03509, sections 4.2 and 4.3.
    """

    def __init__(
        self,
        num_sets: int,
        hidden_units: Sequence[int],
        activation: str,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          num_sets: M, at least 1.
          hidden_units: sizes of the hidden layers.
          activation: elu, gelu, relu, silu or tanh.
          seed: of weights, orders and degrees. Default: None.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: sizes that are not positive integers, or an unknown
            activation.
        """
        self.network = MLPConditioner(tuple(hidden_units), activation)
        super().__init__(**kwargs)
        self.num_sets = num_sets
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for vectors `[..., D]`."""
        size = int(input_shape[-1] or 0)
        shapes = self.network.parameter_shapes(size, size)
        self._weights_by_name = {
            name: self.add_weight(
                name=name,
                shape=shape,
                initializer=kernel_initializer(shape, self.seed, offset),
                autocast=False,
            )
            for offset, (name, shape) in enumerate(shapes.items())
        }
        generator = initializers.generator(self.seed)
        places = np.tile(np.arange(size), [self.num_sets, 1])
        if self.num_sets > 1:
            places = np.argsort(generator.random(places.shape), axis=-1)
        degrees = [places]
        lowest = np.full([self.num_sets, 1], min(1, size - 1))
        for units in self.network.hidden_units:
            shape = (self.num_sets, units)
            drawn = generator.integers(lowest, max(size, 2), size=shape)
            degrees.append(drawn)
            lowest = drawn.min(axis=-1, keepdims=True)
        self._degrees = [
            self.add_weight(
                name=f"degrees_{i}",
                shape=values.shape,
                dtype="int32",
                initializer=_constant(values),
                trainable=False,
                autocast=False,
            )
            for i, values in enumerate(degrees)
        ]
        self.built = True

    def call(self, inputs: tf.Tensor, index: TensorLike = 0) -> tf.Tensor:
        """The outputs `[..., D]` under the set of that index."""
        x = tf.cast(inputs, self.variable_dtype)
        return self.network(x, self.parameters(index), None)

    def parameters(self, index: TensorLike) -> dict[str, tf.Tensor]:
        """Biases and masked kernels, as `network` takes them."""
        parameters = {
            name: tf.convert_to_tensor(weight)
            for name, weight in self._weights_by_name.items()
        }
        places, *degrees = (
            tf.gather(tf.convert_to_tensor(weight), index)
            for weight in self._degrees
        )
        masks = []
        if degrees:
            masks.append(places[:, tf.newaxis] < degrees[0])
            for before, after in zip(degrees[:-1], degrees[1:], strict=True):
                masks.append(before[:, tf.newaxis] <= after)
            masks.append(degrees[-1][:, tf.newaxis] <= places)
        else:
            masks.append(places[:, tf.newaxis] < places)
        for i, mask in enumerate(masks):
            kernel = parameters[f"kernel_{i}"]
            parameters[f"kernel_{i}"] = tf.where(mask, kernel, 0.0)
        return parameters

    def sequence(self, index: TensorLike) -> tf.Tensor:
        """The coordinates by their place, the first one first, `[D]`."""
        places = tf.gather(tf.convert_to_tensor(self._degrees[0]), index)
        return tf.argsort(places)


def _constant(values: np.ndarray) -> Any:
    def initializer(shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return values.reshape(shape).astype(dtype)

    return initializer
