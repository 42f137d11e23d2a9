"""A multilayer perceptron as a pure function of its weights."""

from collections.abc import Mapping

import tensorflow as tf

from tfp_flows.math import linear

__all__ = ["ACTIVATIONS", "multilayer_perceptron"]

ACTIVATIONS = {
    "elu": tf.nn.elu,
    "gelu": tf.nn.gelu,
    "relu": tf.nn.relu,
    "silu": tf.nn.silu,
    "tanh": tf.nn.tanh,
}


def multilayer_perceptron(
    x: tf.Tensor,
    parameters: Mapping[str, tf.Tensor],
    context: tf.Tensor | None,
    *,
    num_hidden_layers: int,
    activation: str,
) -> tf.Tensor:
    """`x` through hidden layers and a linear one.

        h_0 = activation(x kernel_0 + context context_kernel + bias_0)
        h_i = activation(h_(i-1) kernel_i + bias_i)
        output = h_(n-1) kernel_n + bias_n

    Args:
      x: `[..., I]`.
      parameters: `kernel_i`, `[..., I_i, O_i]`, and `bias_i`, `[..., O_i]`;
        with a context also `context_kernel`, `[..., C, O_0]`. Batch axes
        broadcast against those of `x`.
      context: `[..., C]`, or None.
      num_hidden_layers: n, at least 0.
      activation: a name in `ACTIVATIONS`.

    Returns:
      `[..., O]`.

    Raises:
      ValueError: `context` is not what `context_kernel` takes, or its batch
        axes do not fit those of `x`.
    """
    _check_context(x, context, parameters.get("context_kernel"))
    h = x
    for i in range(num_hidden_layers + 1):
        h = _times(h, parameters[f"kernel_{i}"]) + parameters[f"bias_{i}"]
        if i == 0 and context is not None:
            h += _times(context, parameters["context_kernel"])
        if i < num_hidden_layers:
            h = ACTIVATIONS[activation](h)
    return h


def _check_context(
    x: tf.Tensor, context: tf.Tensor | None, kernel: tf.Tensor | None
) -> None:
    if kernel is None:
        if context is None:
            return
        raise ValueError(
            "`context` must be None for a network without `context_kernel`; "
            f"got shape {context.shape}."
        )
    size = kernel.shape[-2]
    if context is None:
        raise ValueError(f"`context` must have shape [..., {size}]; got None.")
    if context.shape.rank == 0 or (
        context.shape.rank
        and size is not None
        and context.shape[-1] not in (size, None)
    ):
        raise ValueError(
            f"`context` must have shape [..., {size}]; got {context.shape}."
        )
    try:
        tf.broadcast_static_shape(context.shape[:-1], x.shape[:-1])
    except ValueError as error:
        raise ValueError(
            "`context` must have batch axes that broadcast against those of "
            f"the points, of shape {x.shape}; got {context.shape}."
        ) from error


def _times(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return linear.times(kernel, x, transpose=True)
