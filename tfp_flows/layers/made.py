"""MADE, the masked network, as a layer that owns its weights."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows._arguments import as_positive_integer
from tfp_flows.bijectors import MADEConditioner
from tfp_flows.layers.flow_layer import last_axis

__all__ = ["MADE", "kernel_initializer"]


def kernel_initializer(
    shape: tuple[int, ...], seed: int | None, offset: int
) -> keras.initializers.Initializer:
    """That of a kernel of a masked network, or of a bias.

    Args:
      shape: `[I, O]`, or `[O]` of a bias.
      seed: of the network. None for random values.
      offset: other ones give other kernels.
    """
    if len(shape) == 1:
        return keras.initializers.Zeros()
    # Masks leave half of the inputs on average.
    return keras.initializers.RandomNormal(
        stddev=math.sqrt(2.0 / shape[0]),
        seed=None if seed is None else seed + offset,
    )


@keras.saving.register_keras_serializable(package="tfp_flows")
class MADE(keras.layers.Layer):
    """Masked autoencoder: output i depends on the inputs before i alone.

    Maps `[..., D]` (and a context `[..., C]`) to `[..., D]`, or to
    `[..., D, P]` for `num_outputs` P > 1. See
    `tfp_flows.bijectors.MADEConditioner` for the masks; the context enters the
    first hidden layer without one. Its `conditioner` and `parameters()` are
    what the autoregressive bijectors take:

    Example:
    ```python
    import keras
    import numpy as np
    import tensorflow as tf

    import tfp_flows

    made = tfp_flows.layers.MADE(num_outputs=2, hidden_units=(16,))
    theta = made(np.zeros([3, 4], "float32"))  # [3, 4, 2]
    flow = tfp_flows.bijectors.MaskedAutoregressive(
        made.conditioner, made.parameters()
    )
    flow.inverse(tf.zeros([3, 4]))  # differentiable in the layer's weights
    ```

    References:
      [1]: Mathieu Germain, Karol Gregor, Iain Murray, Hugo Larochelle. MADE:
           Masked Autoencoder for Distribution Estimation. ICML 2015.
           https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        num_outputs: int = 1,
        hidden_units: Sequence[int] = (64, 64),
        activation: str = "gelu",
        order: Sequence[int] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          num_outputs: P, outputs for each coordinate.
          hidden_units: sizes of the hidden layers, at least D each.
          activation: elu, gelu, relu, silu or tanh.
          order: the place of each coordinate, 0, ..., D - 1. Default: None,
            from the first to the last.
          seed: makes the initial weights reproducible. Default: None.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: `num_outputs` is not a positive integer; at `build`,
            hidden layers smaller than D, or an `order` that is no permutation.
        """
        num_outputs = as_positive_integer("num_outputs", num_outputs)
        super().__init__(**kwargs)
        self.num_outputs = num_outputs
        self.hidden_units = tuple(hidden_units)
        self.activation = activation
        self.order = None if order is None else tuple(order)
        self.seed = seed

    def build(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        """Makes the weights.

        Args:
          inputs_shape: `[..., D]`.
          context_shape: `[..., C]`, or None.

        Raises:
          ValueError: see the constructor; or D or C is not known.
        """
        self.conditioner = MADEConditioner(
            last_axis("inputs_shape", inputs_shape),
            self.num_outputs,
            self.hidden_units,
            self.activation,
            0
            if context_shape is None
            else last_axis("context_shape", context_shape),
            self.order,
        )
        self._weights_by_name = {
            name: self.add_weight(
                name=name,
                shape=shape,
                initializer=kernel_initializer(shape, self.seed, offset),
                autocast=False,
            )
            for offset, (name, shape) in enumerate(
                self.conditioner.parameter_shapes().items()
            )
        }
        self.built = True

    def parameters(self) -> dict[str, tf.Tensor]:
        """The weights by name, as `conditioner` takes them.

        Raises:
          ValueError: the layer is not built.
        """
        if not self.built:
            raise ValueError(
                f"`{self.name}` must be built before its parameters are used; "
                "call it once, or `build((None, D))`."
            )
        return {
            name: tf.convert_to_tensor(weight)
            for name, weight in self._weights_by_name.items()
        }

    def call(
        self, inputs: tf.Tensor, context: tf.Tensor | None = None
    ) -> tf.Tensor:
        """`[..., D]`, or `[..., D, P]` for P > 1."""
        x = tf.cast(inputs, self.variable_dtype)
        if context is not None:
            context = tf.cast(context, self.variable_dtype)
        outputs = self.conditioner(x, self.parameters(), context)
        if self.num_outputs == 1:
            return outputs
        shape = tf.concat(
            [tf.shape(x)[:-1], [self.num_outputs, x.shape[-1]]], axis=0
        )
        return tf.linalg.matrix_transpose(tf.reshape(outputs, shape))

    def compute_output_shape(
        self,
        inputs_shape: tuple[int | None, ...],
        context_shape: tuple[int | None, ...] | None = None,
    ) -> tuple[int | None, ...]:
        """`[..., D]`, or `[..., D, P]` for P > 1."""
        del context_shape
        if self.num_outputs == 1:
            return tuple(inputs_shape)
        return (*inputs_shape, self.num_outputs)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "num_outputs": self.num_outputs,
            "hidden_units": self.hidden_units,
            "activation": self.activation,
            "order": self.order,
            "seed": self.seed,
        }
