"""A dense layer whose units are the largest of several linear ones."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows._arguments import as_positive_integer

__all__ = ["Maxout"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class Maxout(keras.layers.Layer):
    """`y_i = max_j (W x + b)_(i, j)`, over the `window` values of `j`.

    Shapes: `[..., C]` to `[..., units]`, of `units * window` linear units.
    "400 hidden units with a window of 4" is `Maxout(100, window=4)`.

    #### References

    [1]: Ian Goodfellow et al. Maxout Networks. ICML, 2013.
    """

    def __init__(
        self,
        units: int,
        window: int = 4,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          units: the number of outputs, at least 1.
          window: the number of linear units per output, at least 1.
          kernel_initializer: of the weights `[C, units * window]`.
          bias_initializer: of the biases `[units * window]`.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: `units` or `window` is not a positive integer.
        """
        units = as_positive_integer("units", units)
        window = as_positive_integer("window", window)
        super().__init__(**kwargs)
        self.units = units
        self.window = window
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.linear = keras.layers.Dense(
            units * window,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            name="linear",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for inputs of size `input_shape[-1]`."""
        self.linear.build(input_shape)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[..., C]` to `[..., units]`."""
        linear = self.linear(inputs)
        leading = keras.ops.shape(linear)[:-1]
        pieces = keras.ops.reshape(linear, (*leading, self.units, self.window))
        # That of `keras.ops` refuses a batch without rows.
        return tf.reduce_max(pieces, axis=-1)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """`[..., units]`."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "units": self.units,
            "window": self.window,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "bias_initializer": keras.initializers.serialize(
                self.bias_initializer
            ),
        }
