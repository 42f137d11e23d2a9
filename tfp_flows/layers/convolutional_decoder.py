"""From latent variables to images by transposed convolutions."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows._arguments import (
    as_positive_integer,
    check_positive_integers,
    full_image_shape,
)
from tfp_flows.layers._convolutions import (
    activate,
    check_strides,
    make_convolution,
)
from tfp_flows.layers._empty_batch import apply_to_rows

__all__ = ["ConvolutionalDecoder"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvolutionalDecoder(keras.layers.Layer):
    """Dense layers, then transposed convolutions.

    By default they double the image each. Shapes: `[B, D]` to
    `[B, H, W, C * num_parameters]`. The last convolution is linear; the others
    may be gated, as those of a `ConvolutionalEncoder`. What exceeds `[H, W]`,
    unless both are multiples of the product of the strides, is cropped.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        filters: Sequence[int] = (64, 32),
        kernel_size: int = 3,
        units: int | None = 256,
        num_parameters: int = 1,
        activation: str | Callable[[tf.Tensor], tf.Tensor] = "relu",
        strides: int | Sequence[int] = 2,
        gated: bool = False,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          image_shape: `(H, W)` or `(H, W, C)`.
          filters: the channels of the inputs of each transposed convolution,
            from the smallest image up.
          kernel_size: of all convolutions.
          units: of a first dense layer; None for no such layer.
          num_parameters: how many outputs per channel: the
            `num_parameters` of the likelihood.
          activation: of all layers but the last, what `keras.activations.get`
            takes.
          strides: of all convolutions, or of each.
          gated: whether the convolutions but the last are.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: a size is not a positive integer, there are no
            `filters`, or not as many `strides`.
        """
        image_shape = full_image_shape(image_shape)
        filters = check_positive_integers("filters", filters)
        if not filters:
            raise ValueError("`filters` must name at least one; got ().")
        kernel_size = as_positive_integer("kernel_size", kernel_size)
        if units is not None:
            units = as_positive_integer("units", units)
        num_parameters = as_positive_integer("num_parameters", num_parameters)
        strides = check_strides(strides, filters)
        super().__init__(**kwargs)
        self.image_shape = image_shape
        self.filters = filters
        self.kernel_size = kernel_size
        self.units = units
        self.num_parameters = num_parameters
        self.activation = keras.activations.get(activation)
        self.strides = strides
        self.gated = gated
        first_size = math.prod(self._first_shape)
        self.dense_layers = [
            keras.layers.Dense(
                size,
                activation=self.activation,
                name=f"dense_{i}",
                dtype=self.dtype_policy,
            )
            for i, size in enumerate([units, first_size])
            if size is not None
        ]
        self.convolutions = [
            self._convolution(i) for i in range(len(self.filters))
        ]

    @property
    def _first_shape(self) -> tuple[int, int, int]:
        """The shape of the smallest image."""
        height, width, _ = self.image_shape
        factor = math.prod(self.strides)
        return (
            math.ceil(height / factor),
            math.ceil(width / factor),
            self.filters[0],
        )

    @property
    def _output_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.image_shape
        return height, width, channels * self.num_parameters

    def _convolution(self, i: int) -> keras.layers.Layer:
        is_last = i == len(self.filters) - 1
        return make_convolution(
            keras.layers.Conv2DTranspose,
            self._output_shape[-1] if is_last else self.filters[i + 1],
            kernel_size=self.kernel_size,
            strides=self.strides[i],
            activation=None if is_last else self.activation,
            gated=self.gated,
            name=f"convolution_{i}",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for latent variables `[B, D]`.

        Raises:
          ValueError: `input_shape` is no such shape.
        """
        if len(input_shape) != 2 or input_shape[1] is None:
            raise ValueError(
                "`inputs` must have shape [B, D] with a known D; got "
                f"{tuple(input_shape)}."
            )
        shape: tuple[int | None, ...] = (None, input_shape[1])
        for layer in self.dense_layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        shape = (None, *self._first_shape)
        channels = (*self.filters[1:], self._output_shape[-1])
        for layer, num in zip(self.convolutions, channels, strict=True):
            layer.build(shape)
            shape = (*layer.compute_output_shape(shape)[:-1], num)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[B, D]` to `[B, H, W, C * num_parameters]`."""
        return apply_to_rows(self._images, inputs)

    def _images(self, x: tf.Tensor) -> tf.Tensor:
        for layer in self.dense_layers:
            x = layer(x)
        x = keras.ops.reshape(x, (-1, *self._first_shape))
        *hidden, last = self.convolutions
        for layer in hidden:
            x = activate(layer(x), self.activation, self.gated)
        x = last(x)
        height, width, _ = self.image_shape
        return x[:, :height, :width]

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """`[B, H, W, C * num_parameters]`."""
        return (input_shape[0], *self._output_shape)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "units": self.units,
            "num_parameters": self.num_parameters,
            "activation": keras.activations.serialize(self.activation),
            "strides": self.strides,
            "gated": self.gated,
        }
