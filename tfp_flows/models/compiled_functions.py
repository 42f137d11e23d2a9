"""Functions of a model that are traced once, for batches of all sizes."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

__all__ = ["CompiledFunctions"]


class CompiledFunctions:
    """Graphs of functions, by name, made at their first call.

    They are not compiled with XLA, which takes seconds for each size of batch.
    Within a `tf.function` they are a part of that, under XLA too.
    """

    def __init__(self) -> None:
        """Without any function yet."""
        self._functions: dict[str, Any] = {}

    def call(
        self,
        name: str,
        function: Callable[..., tf.Tensor],
        arguments: Sequence[Any],
        batch_axes: Sequence[int],
    ) -> tf.Tensor:
        """Calls a function of tensors.

        Args:
          name: its own; it must be the same function at every call.
          function: of nests of tensors.
          arguments: these nests; of one structure at every call.
          batch_axes: how many first axes of each argument have any size.
        """
        if not tf.executing_eagerly():
            return function(*arguments)
        if name not in self._functions:
            signature = [
                tf.nest.map_structure(lambda x, n=n: _of_any_size(x, n), nest)
                for nest, n in zip(arguments, batch_axes, strict=True)
            ]
            self._functions[name] = tf.function(
                function, input_signature=signature, autograph=False
            )
        return self._functions[name](*arguments)


def _of_any_size(x: tf.Tensor, batch_axes: int) -> tf.TensorSpec:
    shape = [*[None] * batch_axes, *x.shape[batch_axes:]]
    return tf.TensorSpec(shape, x.dtype)
