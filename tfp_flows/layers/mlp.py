"""A multilayer perceptron, as an encoder or as a decoder."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows._arguments import (
    as_positive_integer,
    check_positive_integers,
)
from tfp_flows.layers._dense_shapes import check_output_size, flat_size
from tfp_flows.layers.maxout import Maxout

__all__ = ["MLP"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class MLP(keras.layers.Layer):
    """Dense layers on all that follows the batch axis.

    Shapes: `[B, ...]` to `[B, C]`, the features that an encoder hands on, or,
    if `output_size` is given, through one more linear layer to
    `[B, *output_size]`.

    The networks of Rezende and Mohamed (2015), 400 hidden units with maxout of
    window 4, are `MLP((400,), activation="maxout")`: the `hidden_units` are
    the linear units, so the layer has 100 outputs.
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (400, 400),
        output_size: int | Sequence[int] | None = None,
        activation: str | Callable[[tf.Tensor], tf.Tensor] = "relu",
        maxout_window: int = 4,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        output_kernel_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          hidden_units: the number of linear units of each hidden layer.
          output_size: size or shape of the output of a last, linear layer.
            Default: None, no such layer.
          activation: "maxout", or what `keras.activations.get` takes.
          maxout_window: how many linear units share a maximum; divides all
            `hidden_units`. Only for `activation="maxout"`.
          kernel_initializer: of the weights.
          bias_initializer: of the biases.
          output_kernel_initializer: of the weights of the last, linear layer.
            Default: None, `kernel_initializer`.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: a size is not a positive integer, or `maxout_window` does
            not divide one of `hidden_units`.
        """
        hidden_units = check_positive_integers("hidden_units", hidden_units)
        output_size = check_output_size(output_size)
        maxout_window = as_positive_integer("maxout_window", maxout_window)
        if activation == "maxout":
            _check_window(maxout_window, hidden_units)
        else:
            activation = keras.activations.get(activation)
        super().__init__(**kwargs)
        self.hidden_units = hidden_units
        self.output_size = output_size
        self.activation = activation
        self.maxout_window = maxout_window
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.output_kernel_initializer = keras.initializers.get(
            output_kernel_initializer
        )
        self.hidden_layers = [
            self._hidden_layer(units, f"hidden_{i}")
            for i, units in enumerate(self.hidden_units)
        ]
        self.output_layer = None
        if self._event_shape is not None:
            settings = self._shared("output")
            if self.output_kernel_initializer is not None:
                settings["kernel_initializer"] = self.output_kernel_initializer
            self.output_layer = keras.layers.Dense(
                math.prod(self._event_shape), **settings
            )

    @property
    def _event_shape(self) -> tuple[int, ...] | None:
        if isinstance(self.output_size, int):
            return (self.output_size,)
        return self.output_size

    def _hidden_layer(self, units: int, name: str) -> keras.layers.Layer:
        if self.activation == "maxout":
            return Maxout(
                units // self.maxout_window,
                window=self.maxout_window,
                **self._shared(name),
            )
        return keras.layers.Dense(
            units, activation=self.activation, **self._shared(name)
        )

    def _shared(self, name: str) -> dict[str, Any]:
        return {
            "kernel_initializer": _independent(self.kernel_initializer),
            "bias_initializer": _independent(self.bias_initializer),
            "name": name,
            "dtype": self.dtype_policy,
        }

    @property
    def _layers_in_order(self) -> list[keras.layers.Layer]:
        last = [] if self.output_layer is None else [self.output_layer]
        return [*self.hidden_layers, *last]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for inputs `[B, ...]`.

        Raises:
          ValueError: a size behind the batch axis is not known.
        """
        shape: tuple[int | None, ...] = (None, flat_size(input_shape))
        for layer in self._layers_in_order:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[B, ...]` to `[B, C]` or `[B, *output_size]`."""
        x = keras.ops.reshape(inputs, (-1, flat_size(inputs.shape)))
        for layer in self._layers_in_order:
            x = layer(x)
        if self._event_shape is None:
            return x
        return keras.ops.reshape(x, (-1, *self._event_shape))

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """`[B, C]` or `[B, *output_size]`."""
        if self._event_shape is not None:
            return (input_shape[0], *self._event_shape)
        shape = (input_shape[0], flat_size(input_shape))
        for layer in self.hidden_layers:
            shape = layer.compute_output_shape(shape)
        return shape

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        activation = self.activation
        if activation != "maxout":
            activation = keras.activations.serialize(activation)
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "output_size": self.output_size,
            "activation": activation,
            "maxout_window": self.maxout_window,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "bias_initializer": keras.initializers.serialize(
                self.bias_initializer
            ),
            "output_kernel_initializer": keras.initializers.serialize(
                self.output_kernel_initializer
            )
            if self.output_kernel_initializer
            else None,
        }


def _independent(initializer: Any) -> Any:
    """A copy with a random seed of its own, unless the user chose the seed.

    One instance would give each layer the same random numbers.
    """
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    if config.get("seed", 0) is not None:
        return initializer
    return type(initializer).from_config(config)


def _check_window(window: int, hidden_units: tuple[int, ...]) -> None:
    for units in hidden_units:
        if units % window:
            raise ValueError(
                "`maxout_window` must divide all `hidden_units`; got "
                f"{window} and {hidden_units}."
            )
