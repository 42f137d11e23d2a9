"""From images to features by strided convolutions."""

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

__all__ = ["ConvolutionalEncoder"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class ConvolutionalEncoder(keras.layers.Layer):
    """Convolutions, which by default halve the image each, and a dense layer.

    Gated ones, as in the networks of van den Berg et al. (2018), are
    `activation(a) * sigmoid(b)` of two convolutions a and b.

    Shapes: `[B, H, W, C]`, `[B, H * W * C]` or, for one channel, `[B, H, W]`,
    to features `[B, units]`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        filters: Sequence[int] = (32, 64),
        kernel_size: int = 3,
        units: int | None = 256,
        activation: str | Callable[[tf.Tensor], tf.Tensor] = "relu",
        strides: int | Sequence[int] = 2,
        gated: bool = False,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          image_shape: `(H, W)` or `(H, W, C)`.
          filters: the channels of each convolution.
          kernel_size: of all convolutions.
          units: of the dense layer; None for no such layer.
          activation: of all layers, what `keras.activations.get` takes.
          strides: of all convolutions, or of each.
          gated: whether the convolutions are.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: a size is not a positive integer, or there are not as
            many `strides` as `filters`.
        """
        image_shape = full_image_shape(image_shape)
        filters = check_positive_integers("filters", filters)
        kernel_size = as_positive_integer("kernel_size", kernel_size)
        if units is not None:
            units = as_positive_integer("units", units)
        strides = check_strides(strides, filters)
        super().__init__(**kwargs)
        self.image_shape = image_shape
        self.filters = filters
        self.kernel_size = kernel_size
        self.units = units
        self.activation = keras.activations.get(activation)
        self.strides = strides
        self.gated = gated
        self.convolutions = [
            make_convolution(
                keras.layers.Conv2D,
                channels,
                kernel_size=kernel_size,
                strides=stride,
                activation=self.activation,
                gated=gated,
                name=f"convolution_{i}",
                dtype=self.dtype_policy,
            )
            for i, (channels, stride) in enumerate(
                zip(filters, strides, strict=True)
            )
        ]
        self.dense = None
        if units is not None:
            self.dense = keras.layers.Dense(
                units,
                activation=self.activation,
                name="dense",
                dtype=self.dtype_policy,
            )

    def _check_shape(self, input_shape: tuple[int | None, ...]) -> None:
        height, width, channels = self.image_shape
        accepted = [self.image_shape, (height * width * channels,)]
        if channels == 1:
            accepted.append((height, width))
        if tuple(input_shape[1:]) not in accepted:
            known = " or ".join(
                f"[B, {', '.join(map(str, shape))}]" for shape in accepted
            )
            raise ValueError(
                f"`inputs` must have shape {known}; got {tuple(input_shape)}."
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights.

        Raises:
          ValueError: the inputs are not of `image_shape`.
        """
        self._check_shape(input_shape)
        shape: tuple[int | None, ...] = (None, *self.image_shape)
        for layer, channels in zip(
            self.convolutions, self.filters, strict=True
        ):
            layer.build(shape)
            shape = (*layer.compute_output_shape(shape)[:-1], channels)
        if self.dense is not None:
            self.dense.build((None, self._num_features()))
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Images to features `[B, units]`."""
        self._check_shape(inputs.shape)
        images = keras.ops.reshape(inputs, (-1, *self.image_shape))
        return apply_to_rows(self._features, images)

    def _features(self, x: tf.Tensor) -> tf.Tensor:
        for layer in self.convolutions:
            x = activate(layer(x), self.activation, self.gated)
        x = keras.ops.reshape(x, (-1, self._num_features()))
        return x if self.dense is None else self.dense(x)

    def _num_features(self) -> int:
        """The number of outputs of the convolutions."""
        height, width, channels = self.image_shape
        for num_filters, stride in zip(self.filters, self.strides, strict=True):
            height, width = (math.ceil(n / stride) for n in (height, width))
            channels = num_filters
        return height * width * channels

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """`[B, units]`."""
        self._check_shape(input_shape)
        return (input_shape[0], self.units or self._num_features())

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "strides": self.strides,
            "gated": self.gated,
        }
