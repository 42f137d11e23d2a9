"""Which networks have no second derivatives."""

import keras
import pytest
import tensorflow as tf

from tfp_flows.layers import MLP, ConvolutionalDecoder, Maxout
from tfp_flows.posteriors import has_piecewise_linear_activation


@keras.saving.register_keras_serializable(package="tests")
class _Nested(keras.layers.Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = [inner]


def _functional(activation):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(3, activation)(inputs)
    return keras.Model(inputs, keras.layers.Dense(4)(hidden))


@pytest.mark.parametrize(
    "network",
    [
        lambda: MLP([4]),  # relu
        lambda: MLP([4], activation="leaky_relu"),
        lambda: MLP([4], activation="maxout"),
        lambda: MLP([4], activation=tf.nn.relu),
        lambda: Maxout(3),
        lambda: ConvolutionalDecoder([4, 4], [2]),
        lambda: keras.layers.ReLU(),
        lambda: keras.layers.Activation("relu6"),
        lambda: keras.Sequential([keras.layers.Dense(3, "relu")]),
        lambda: keras.Sequential([MLP([4])]),
        lambda: _functional("leaky_relu"),
        lambda: _Nested(_Nested(_functional("relu"))),
    ],
)
def test_piecewise_linear_activation_is_found(network):
    assert has_piecewise_linear_activation(network())


@pytest.mark.parametrize(
    "network",
    [
        lambda: MLP([4], activation="softplus"),
        lambda: MLP([4], 3, activation="gelu"),
        lambda: ConvolutionalDecoder([4, 4], [2], activation="tanh"),
        lambda: keras.layers.Dense(3),
        lambda: keras.Sequential([keras.layers.Dense(3, "softplus")]),
        lambda: _Nested(_Nested(_functional("swish"))),
    ],
)
def test_smooth_network_is_let_pass(network):
    assert not has_piecewise_linear_activation(network())
