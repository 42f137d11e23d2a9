"""The networks of a continuously-indexed flow's steps."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from tfp_flows.bijectors import MLPConditioner
from tfp_flows.layers.parameter_head import ParameterHead, ParameterSpec

__all__ = ["GivenNetworks", "StackedNetworks"]

Parameters = dict[str, tf.Tensor]
Halves = tuple[tf.Tensor, tf.Tensor]


class StackedNetworks(keras.layers.Layer):
    """Equal multilayer perceptrons for K indices, their weights stacked.

    *Amortized*, the first layer has a bias for every example, a linear function
    of the context: the context enters the network beside its input.
    """

    def __init__(
        self,
        num_networks: int,
        input_size: int,
        output_size: int,
        hidden_units: Sequence[int] = (10, 10),
        activation: str = "tanh",
        starts_at_zero: bool = False,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          num_networks: K.
          input_size: I.
          output_size: O, half of what a network returns.
          hidden_units: sizes of the hidden layers.
          activation: that of `MLPConditioner`.
          starts_at_zero: whether the last layers start at zero.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: an argument breaks its rule.
        """
        super().__init__(**kwargs)
        self._network = MLPConditioner(tuple(hidden_units), activation)
        shapes = self._network.parameter_shapes(input_size, 2 * output_size)
        last = f"kernel_{len(self._network.hidden_units)}"
        self._head = ParameterHead(
            {
                name: _spec(name, shape, starts_at_zero and name == last)
                for name, shape in shapes.items()
            },
            num_networks,
            dtype=self.dtype_policy,
            name="networks",
        )

    def build(self, context_shape: tuple[int | None, ...] | None) -> None:
        """Makes the weights, for contexts of that shape or for none."""
        self._head.build(context_shape)
        self.built = True

    def parameters(self, context: tf.Tensor | None = None) -> Parameters:
        """The weights by name, `[K, (B or 1,) ...]`."""
        return self._head.parameters(context)

    def apply(self, x: tf.Tensor, slices: Mapping[str, tf.Tensor]) -> Halves:
        """The two halves of what one network returns, `[..., O]` each.

        Args:
          x: `[..., I]`.
          slices: of `parameters`, for that network.
        """
        first, second = tf.split(self._network(x, slices, None), 2, axis=-1)
        return first, second


def _spec(name: str, shape: tuple[int, ...], is_zero: bool) -> ParameterSpec:
    zeros = keras.initializers.Zeros()
    if len(shape) == 1:
        # Features of unit size change the first layer as much as its input.
        context = keras.initializers.VarianceScaling(
            1.0, mode="fan_in", distribution="normal"
        )
        return ParameterSpec(
            shape, zeros, context if name == "bias_0" else None
        )
    stddev = 1.0 / math.sqrt(shape[0])
    normal = keras.initializers.RandomNormal(stddev=stddev)
    return ParameterSpec(shape, zeros if is_zero else normal)


class GivenNetworks:
    """Keras layers of the user's, one for each of the indices.

    They are called on rows, `[N, I]` to `[N, 2 O]`, and on the context behind
    the input where there is one.
    """

    def __init__(self, layers: Sequence[keras.layers.Layer]) -> None:
        """Keeps the layers, whose weights another layer tracks."""
        self.layers = layers

    @classmethod
    def of(cls, argument: str, given: Any, num_networks: int) -> Self:
        """Of a layer to be made anew for each index, or of a list of them.

        Args:
          argument: what the user calls it.
          given: by the user.
          num_networks: L.

        Raises:
          TypeError: it is neither.
          ValueError: there are not as many as indices.
        """
        if isinstance(given, keras.layers.Layer):
            config = given.get_config()
            name = argument.removesuffix("_network")
            return cls(
                [
                    type(given).from_config({**config, "name": f"{name}_{i}"})
                    for i in range(num_networks)
                ]
            )
        if not isinstance(given, Sequence) or not all(
            isinstance(network, keras.layers.Layer) for network in given
        ):
            raise TypeError(
                f"`{argument}` must be a Keras layer, a list of them, one for "
                f"each index, or None; got {given!r}."
            )
        if len(given) != num_networks:
            raise ValueError(
                f"`{argument}` must have one layer for each of the "
                f"{num_networks} indices; got {len(given)}."
            )
        return cls(list(given))

    def build(self, argument: str, input_size: int, output_size: int) -> None:
        """Makes the weights.

        Raises:
          ValueError: what a layer returns is not `[N, output_size]`.
        """
        for layer in self.layers:
            outputs = layer(
                keras.KerasTensor(
                    (None, input_size), dtype=layer.variable_dtype
                )
            )
            shape = getattr(outputs, "shape", None)
            if shape is None or tuple(shape) != (None, output_size):
                raise ValueError(
                    f"`{argument}` must return [N, {output_size}], two numbers "
                    f"for each output, of [N, {input_size}]; got "
                    f"{outputs if shape is None else tuple(shape)}."
                )

    def apply(
        self, number: int, x: tf.Tensor, context: tf.Tensor | None
    ) -> Halves:
        """The two halves of what one network returns, `[..., O]` each."""
        if context is not None:
            shape = tf.concat([tf.shape(x)[:-1], context.shape[-1:]], axis=0)
            context = tf.broadcast_to(tf.cast(context, x.dtype), shape)
            x = tf.concat([x, context], axis=-1)
        rows = self.layers[number](tf.reshape(x, [-1, x.shape[-1]]))
        shape = tf.concat([tf.shape(x)[:-1], rows.shape[-1:]], axis=0)
        outputs = tf.cast(tf.reshape(rows, shape), x.dtype)
        outputs = tf.ensure_shape(outputs, [*x.shape[:-1], rows.shape[-1]])
        first, second = tf.split(outputs, 2, axis=-1)
        return first, second
