"""Masked networks that share their weights, under several sets of masks."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows._arguments import as_order
from tfp_flows.bijectors import MLPConditioner
from tfp_flows.layers import initializers
from tfp_flows.layers.made import kernel_initializer
from tfp_flows.types import TensorLike

__all__ = ["MADESets"]

_DIRECT = "direct_kernel"


class MADESets(keras.layers.Layer):
    """MADE with M sets of masks, drawn at random: orders and degrees.

    Under a set of masks output i is a function of the inputs before i in the
    order of that set alone. The degrees of hidden units are drawn uniformly,
    from the lowest one of the layer before up to D - 1, so that layers can have
    less than D units. Direct connections are a masked linear map of inputs to
    outputs that is added to what the hidden layers say, zero at first.

    Orders and degrees are weights that are not trained, so that they are saved
    with the others; the masks are made of them at every use.

    References:
      [1]: Mathieu Germain, Karol Gregor, Iain Murray, Hugo Larochelle. MADE:
           Masked Autoencoder for Distribution Estimation. ICML 2015.
           https://arxiv.org/abs/1502.03509, sections 4.1 to 4.3.
    """

    def __init__(
        self,
        num_sets: int,
        hidden_units: Sequence[int],
        activation: str,
        order: Sequence[int] | None = None,
        direct_connections: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          num_sets: M, at least 1.
          hidden_units: sizes of the hidden layers.
          activation: elu, gelu, relu, silu or tanh.
          order: the place of each coordinate, 0, ..., D - 1, in every set.
            Default: None, drawn for each set.
          direct_connections: of inputs to outputs; without hidden layers there
            are no others. Default: True.
          seed: of weights, orders and degrees. Default: None.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: sizes that are not positive integers, or an unknown
            activation; at `build`, an `order` that is no permutation.
        """
        self.network = MLPConditioner(tuple(hidden_units), activation)
        super().__init__(**kwargs)
        self.num_sets = num_sets
        self.order = order
        self.direct_connections = direct_connections and bool(hidden_units)
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
        if self.direct_connections:
            self._weights_by_name[_DIRECT] = self.add_weight(
                name=_DIRECT,
                shape=(size, size),
                initializer="zeros",
                autocast=False,
            )
        generator = initializers.generator(self.seed)
        places = np.tile(
            as_order("order", self.order, size), [self.num_sets, 1]
        )
        if self.order is None:
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
        return self.constrained_call(x, self.parameters(index))

    def constrained_call(
        self, x: tf.Tensor, parameters: dict[str, tf.Tensor]
    ) -> tf.Tensor:
        """The outputs `[..., D]`, of what `parameters` returned."""
        outputs = self.network(x, parameters, None)
        if self.direct_connections:
            outputs += tf.linalg.matmul(x, parameters[_DIRECT])
        return outputs

    def parameters(self, index: TensorLike) -> dict[str, tf.Tensor]:
        """Biases and masked kernels, as `constrained_call` takes them."""
        parameters = {
            name: tf.convert_to_tensor(weight)
            for name, weight in self._weights_by_name.items()
        }
        places, *degrees = (
            tf.gather(tf.convert_to_tensor(weight), index)
            for weight in self._degrees
        )
        direct = places[:, tf.newaxis] < places
        masks = {}
        if degrees:
            masks["kernel_0"] = places[:, tf.newaxis] < degrees[0]
            for i, (before, after) in enumerate(itertools.pairwise(degrees), 1):
                masks[f"kernel_{i}"] = before[:, tf.newaxis] <= after
            last = degrees[-1][:, tf.newaxis] <= places
            masks[f"kernel_{len(degrees)}"] = last
        else:
            masks["kernel_0"] = direct
        if self.direct_connections:
            masks[_DIRECT] = direct
        for name, mask in masks.items():
            parameters[name] = tf.where(mask, parameters[name], 0.0)
        return parameters

    def sequence(self, index: TensorLike) -> tf.Tensor:
        """The coordinates by their place, the first one first, `[D]`."""
        places = tf.gather(tf.convert_to_tensor(self._degrees[0]), index)
        return tf.argsort(places)


def _constant(values: np.ndarray) -> Any:
    def initializer(shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return values.reshape(shape).astype(dtype)

    return initializer
