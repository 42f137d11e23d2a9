"""Named tensors that are weights, or affine functions of a context."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

__all__ = ["ParameterHead", "ParameterSpec"]

Initializer = Callable[..., Any]


class ParameterSpec(NamedTuple):
    """Shape and initial values of one named parameter.

    `initializer` is that of the weight itself; `context_initializer` that of
    the kernel by which a context changes it. With kernel zeros the parameter
    starts equal for every context; with None it is never amortized. A weight
    that is not `trainable` is saved with the others all the same.
    """

    shape: tuple[int, ...]
    initializer: Initializer
    context_initializer: Initializer | None = None
    trainable: bool = True
    dtype: str | None = None  # None: that of the layer's variables


class ParameterHead(keras.layers.Layer):
    """Maps a context `[..., C]` to a dictionary of parameter tensors.

        parameter = weight + scale * context @ kernel      (amortized)
        parameter = weight                                 (shared)

    Shapes: a parameter of shape `s` comes out as `[K, ..., *s]`, or `[..., *s]`
    without `num_steps`; beside amortized ones, one that is not has batch axes
    of size 1. One matrix product serves all parameters. It runs in
    the compute dtype of the layer, what comes out has the dtype of its
    variables: float32 under mixed precision, hence no autocasting.
    """

    def __init__(
        self,
        specs: dict[str, ParameterSpec],
        num_steps: int | None = None,
        context_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          specs: name -> shape and initializers of a parameter.
          num_steps: K, the leading axis; None: there is none.
          context_scale: what multiplies the context's part. The kernel starts
            that much larger, so that it changes how fast it learns, not where
            it starts. Default: 1.
          **kwargs: those of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self._specs = {name: ParameterSpec(*s) for name, s in specs.items()}
        self._amortizable = {
            name: spec
            for name, spec in self._specs.items()
            if spec.context_initializer is not None
        }
        self._sizes = [math.prod(s.shape) for s in self._amortizable.values()]
        self._num_steps = num_steps
        self._context_scale = context_scale
        self._leading = () if num_steps is None else (num_steps,)
        self._shared: dict[str, keras.Variable] = {}
        self.kernel: keras.Variable | None = None

    @property
    def amortized(self) -> bool:
        """Whether the parameters depend on a context."""
        return self.kernel is not None

    def build(self, context_shape: tuple[int | None, ...] | None) -> None:
        """Makes the weights; amortized unless `context_shape` is None."""
        for name, spec in self._specs.items():
            self._shared[name] = self.add_weight(
                name=name,
                shape=(*self._leading, *spec.shape),
                initializer=spec.initializer,
                trainable=spec.trainable,
                dtype=spec.dtype,
                autocast=False,
            )
        if context_shape is not None and self._amortizable:
            columns = sum(self._sizes) * math.prod(self._leading)
            self.kernel = self.add_weight(
                name="kernel",
                shape=(context_shape[-1], columns),
                initializer=self._initial_kernel,
                autocast=False,
            )
        self.built = True

    def _initial_kernel(self, shape: tuple[int, int], dtype: Any) -> tf.Tensor:
        num_steps = math.prod(self._leading)
        pieces = []
        for spec, size in zip(
            self._amortizable.values(), self._sizes, strict=True
        ):
            assert spec.context_initializer is not None  # it is amortizable
            block = spec.context_initializer((shape[0], num_steps * size))
            pieces.append(
                tf.reshape(tf.cast(block, dtype), [-1, num_steps, size])
            )
        kernel = tf.concat(pieces, axis=-1) / self._context_scale
        return tf.reshape(kernel, shape)

    def call(self, context: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """The parameters for `context`, or the shared ones."""
        return self.parameters(context)

    def parameters(
        self, context: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """As `call`, for use outside of Keras's call protocol.

        Raises:
          ValueError: the parameters are amortized and `context` is None, or it
            has another size than that of `build`.
        """
        shared = {n: tf.convert_to_tensor(w) for n, w in self._shared.items()}
        if self.kernel is None:
            return shared
        kernel = tf.cast(self._context_scale * self.kernel, self.compute_dtype)
        context = self._checked(context, kernel.shape[0])
        batch_rank = context.shape.rank - 1
        columns = tf.cast(
            tf.tensordot(context, kernel, axes=1), self.variable_dtype
        )
        if self._num_steps is not None:
            batch = tf.shape(context)[:-1]
            columns = tf.reshape(
                columns, tf.concat([batch, [self._num_steps, -1]], 0)
            )
            # One transpose and one split: cheaper than a slice of each.
            order = [batch_rank, *range(batch_rank), batch_rank + 1]
            columns = tf.transpose(columns, order)
            columns = tf.ensure_shape(
                columns, [self._num_steps, *context.shape[:-1], None]
            )
        pieces = tf.split(columns, self._sizes, axis=-1)
        parameters = {
            name: _insert_axes(weight, len(self._leading), batch_rank)
            for name, weight in shared.items()
        }
        for (name, spec), piece in zip(
            self._amortizable.items(), pieces, strict=True
        ):
            parameters[name] += _reshape_last(piece, spec.shape)
        return parameters

    def _checked(self, context: tf.Tensor | None, size: int) -> tf.Tensor:
        if context is None:
            raise ValueError(
                "`context` must be given, as the parameters of "
                f"`{self.name}` are amortized; got None."
            )
        context = tf.cast(tf.convert_to_tensor(context), self.compute_dtype)
        if context.shape.rank is None or context.shape.rank < 2:
            raise ValueError(
                f"`context` must have shape [B, {size}]; "
                f"got {tuple(context.shape)}."
            )
        if context.shape[-1] != size:
            raise ValueError(
                f"`context` must have last axis {size}, as at build; "
                f"got shape {tuple(context.shape)}."
            )
        return context


def _reshape_last(x: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Unfolds the last axis to `shape`."""
    if len(shape) == 1:
        return x
    if not shape:
        return tf.squeeze(x, axis=-1)
    return tf.reshape(x, tf.concat([tf.shape(x)[:-1], shape], axis=0))


def _insert_axes(x: tf.Tensor, position: int, count: int) -> tf.Tensor:
    """Puts `count` axes of size 1 at `position`."""
    shape = x.shape.as_list()
    return tf.reshape(x, shape[:position] + [1] * count + shape[position:])
