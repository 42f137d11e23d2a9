"""Networks whose second derivatives are zero almost everywhere."""

import keras
import tensorflow as tf

from tfp_flows.layers import Maxout

__all__ = ["has_piecewise_linear_activation"]

_LAYERS = (
    Maxout,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
)
_FUNCTIONS = (
    keras.activations.hard_shrink,
    keras.activations.hard_sigmoid,
    keras.activations.hard_tanh,
    keras.activations.leaky_relu,
    keras.activations.relu,
    keras.activations.relu6,
    keras.activations.soft_shrink,
    keras.activations.threshold,
    keras.ops.leaky_relu,
    keras.ops.relu,
    keras.ops.relu6,
    tf.nn.leaky_relu,
    tf.nn.relu,
    tf.nn.relu6,
)


def has_piecewise_linear_activation(layer: keras.layers.Layer) -> bool:
    """Whether a network has relu, leaky_relu, maxout or their like in it.

    Posteriors that follow the gradient of `log p(x, z)`, such as
    `HamiltonianPosterior`, differentiate it once more: through such an
    activation parts of the gradient are missing, without an error. Functions
    that a layer calls without keeping them as its `activation` are not seen.

    Args:
      layer: a layer or a model; those inside of it count.
    """
    return any(
        isinstance(part, _LAYERS)
        or getattr(part, "activation", None) in _FUNCTIONS
        for part in layer._flatten_layers()
    )
