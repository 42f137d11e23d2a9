"""The networks of a continuously-indexed flow's steps."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.layers import MLP

__all__ = ["IndexNetwork", "build_network", "make_networks"]


def make_networks(
    argument: str,
    given: Any,
    num_steps: int,
    *,
    default: dict[str, Any],
    dtype: Any,
) -> list[keras.layers.Layer]:
    """A network for each step.

    Args:
      argument: what the user calls them.
      given: a layer for each step, one layer to be made anew for each, or None.
      num_steps: L.
      default: arguments of the `MLP` that None stands for.
      dtype: of that.

    Raises:
      TypeError: it is none of these.
      ValueError: there are not as many as steps.
    """
    kind = argument.removesuffix("_network")
    if given is None:
        return [
            MLP(**default, dtype=dtype, name=f"{kind}_{i}")
            for i in range(num_steps)
        ]
    if isinstance(given, keras.layers.Layer):
        config = given.get_config()
        return [
            type(given).from_config({**config, "name": f"{kind}_{i}"})
            for i in range(num_steps)
        ]
    if not isinstance(given, Sequence) or not all(
        isinstance(network, keras.layers.Layer) for network in given
    ):
        raise TypeError(
            f"`{argument}` must be a Keras layer, a list of them, one for "
            f"each step, or None; got {given!r}."
        )
    if len(given) != num_steps:
        raise ValueError(
            f"`{argument}` must have one layer for each of the {num_steps} "
            f"steps; got {len(given)}."
        )
    return list(given)


class IndexNetwork:
    """A network on vectors behind any batch axes, with two outputs of a size.

    It holds no weights: the layer does.
    """

    def __init__(
        self, network: keras.layers.Layer, features: tf.Tensor | None = None
    ) -> None:
        """Keeps the layer.

        Args:
          network: from `[N, I]` to `[N, 2 O]`.
          features: `[B, F]`, which it is given behind each vector; or None.
        """
        self._network = network
        self._features = features

    def __call__(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The two halves, `[..., O]` each, for vectors `[..., (B,) I - F]`."""
        if self._features is not None:
            shape = tf.concat(
                [tf.shape(x)[:-1], [self._features.shape[-1]]], axis=0
            )
            features = tf.broadcast_to(self._features, shape)
            x = tf.concat([x, tf.cast(features, x.dtype)], axis=-1)
        rows = self._network(tf.reshape(x, [-1, x.shape[-1]]))
        shape = tf.concat([tf.shape(x)[:-1], [rows.shape[-1]]], axis=0)
        outputs = tf.cast(tf.reshape(rows, shape), x.dtype)
        outputs = tf.ensure_shape(outputs, [*x.shape[:-1], rows.shape[-1]])
        first, second = tf.split(outputs, 2, axis=-1)
        return first, second


def build_network(
    argument: str,
    network: keras.layers.Layer,
    input_size: int,
    output_size: int,
) -> None:
    """Makes the weights.

    Raises:
      ValueError: what it returns is not `[N, output_size]`.
    """
    outputs = network(
        keras.KerasTensor((None, input_size), dtype=network.variable_dtype)
    )
    shape = getattr(outputs, "shape", None)
    if shape is None or tuple(shape) != (None, output_size):
        raise ValueError(
            f"`{argument}` must return [N, {output_size}], two numbers for "
            f"each output, of [N, {input_size}]; got "
            f"{outputs if shape is None else tuple(shape)}."
        )
