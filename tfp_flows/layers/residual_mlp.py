"""A residual multilayer perceptron, as an encoder or as a decoder."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows._arguments import as_positive_integer
from tfp_flows.layers._dense_shapes import check_output_size, flat_size

__all__ = ["ResidualMLP"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class ResidualMLP(keras.layers.Layer):
    """Dense layers that each block adds to what it is given.

        h_0 = W_0 x + b_0
        h_i = h_(i-1) + V_i activation(W_i activation(h_(i-1)) + b_i) + c_i

    and then `activation(h_n)`, the features `[B, units]` that an encoder hands
    on, or, if `output_size` is given, one more linear layer of them to
    `[B, *output_size]`. Blocks of before the activation (He et al. (2016) [1],
    without their normalisation); the V_i start with a variance of `1 / n` of
    the others', so that h_n does not grow with n.

    #### References

    1. K. He, X. Zhang, S. Ren and J. Sun. Identity Mappings in Deep Residual
       Networks. ECCV 2016. https://arxiv.org/abs/1603.05027
    """

    def __init__(
        self,
        units: int = 400,
        num_blocks: int = 2,
        output_size: int | Sequence[int] | None = None,
        activation: str | Callable[[tf.Tensor], tf.Tensor] = "relu",
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          units: of every layer.
          num_blocks: n.
          output_size: size or shape of the output of a last, linear layer.
            Default: None, no such layer.
          activation: what `keras.activations.get` takes.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: a size is not a positive integer.
        """
        units = as_positive_integer("units", units)
        num_blocks = as_positive_integer("num_blocks", num_blocks)
        output_size = check_output_size(output_size)
        super().__init__(**kwargs)
        self.units = units
        self.num_blocks = num_blocks
        self.output_size = output_size
        self.activation = keras.activations.get(activation)
        self.first = self._dense(units, "first")
        self.blocks = [
            (
                self._dense(units, f"block_{i}_hidden"),
                self._dense(
                    units,
                    f"block_{i}_output",
                    kernel_initializer=keras.initializers.VarianceScaling(
                        1.0 / num_blocks, mode="fan_avg"
                    ),
                ),
            )
            for i in range(num_blocks)
        ]
        self.last = None
        if output_size is not None:
            self.last = self._dense(math.prod(self._event_shape), "last")

    @property
    def _event_shape(self) -> tuple[int, ...]:
        if isinstance(self.output_size, int):
            return (self.output_size,)
        return self.output_size or (self.units,)

    def _dense(self, units: int, name: str, **kwargs: Any) -> Any:
        return keras.layers.Dense(
            units, name=name, dtype=self.dtype_policy, **kwargs
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for inputs `[B, ...]`.

        Raises:
          ValueError: a size behind the batch axis is not known.
        """
        self.first.build((None, flat_size(input_shape)))
        layers = [layer for block in self.blocks for layer in block]
        for layer in [*layers, *([self.last] if self.last else [])]:
            layer.build((None, self.units))
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[B, ...]` to `[B, units]` or `[B, *output_size]`."""
        x = keras.ops.reshape(inputs, (-1, flat_size(inputs.shape)))
        x = self.first(x)
        for hidden, output in self.blocks:
            x = x + output(self.activation(hidden(self.activation(x))))
        x = self.activation(x)
        if self.last is None:
            return x
        return keras.ops.reshape(self.last(x), (-1, *self._event_shape))

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """`[B, units]` or `[B, *output_size]`."""
        return (input_shape[0], *self._event_shape)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "units": self.units,
            "num_blocks": self.num_blocks,
            "output_size": self.output_size,
            "activation": keras.activations.serialize(self.activation),
        }
