"""The networks against the same computed otherwise."""

import keras
import numpy as np
import pytest

from tfp_flows.layers import (
    MLP,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    Maxout,
)


def _points(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("leading", [(4,), (2, 3), ()])
def test_maxout_is_the_largest_of_each_window(leading):
    layer = Maxout(
        3,
        window=4,
        kernel_initializer=keras.initializers.RandomNormal(seed=0),
        bias_initializer=keras.initializers.RandomNormal(seed=1),
    )
    x = _points(*leading, 5)
    # Keras layers take no vector, so a vector goes in as a batch of one.
    y = layer(x if leading else x[None])
    kernel, bias = (weight.numpy() for weight in layer.weights)
    linear = x @ kernel + bias
    expected = np.stack(
        [linear[..., 4 * i : 4 * i + 4].max(axis=-1) for i in range(3)],
        axis=-1,
    )
    np.testing.assert_allclose(
        np.reshape(y, expected.shape), expected, rtol=1e-5, atol=1e-6
    )


def test_maxout_mlp_has_the_sizes_of_the_paper():
    layer = MLP((400,), output_size=(28, 28), activation="maxout")
    layer.build((None, 40))
    assert [tuple(w.shape) for w in layer.weights] == [
        (40, 400),
        (400,),
        (100, 784),
        (784,),
    ]


def test_mlp_is_what_it_says():
    layer = MLP((6, 4), output_size=(2, 3), activation="tanh")
    x = _points(5, 2, 7)
    y = layer(x)
    k0, b0, k1, b1, k2, b2 = (weight.numpy() for weight in layer.weights)
    hidden = np.tanh(np.tanh(x.reshape(5, 14) @ k0 + b0) @ k1 + b1)
    expected = (hidden @ k2 + b2).reshape(5, 2, 3)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_mlp_takes_initializers():
    layer = MLP((3,), 2, kernel_initializer="ones", bias_initializer="ones")
    np.testing.assert_array_equal(layer(np.ones([1, 4])), [[16.0, 16.0]])


def test_encoder_sees_one_image_in_any_form():
    layer = ConvolutionalEncoder((6, 4), filters=(3,), units=5)
    x = _points(2, 6, 4)
    expected = layer(x)
    np.testing.assert_array_equal(layer(x[..., None]), expected)
    np.testing.assert_array_equal(layer(x.reshape(2, 24)), expected)


def test_encoder_keeps_rows_columns_and_channels_apart():
    """A reshape in another order would mix them."""
    layer = ConvolutionalEncoder((6, 4, 2), (3,), units=None, kernel_size=1)
    x = np.zeros([1, 6, 4, 2], np.float32)
    x[0, 2, 2, 1] = 1.0  # seen by the second row and column of the output
    features = np.reshape(layer(x).numpy(), [3, 2, 3]).copy()
    kernel = layer.weights[0].numpy()[0, 0, 1]
    np.testing.assert_allclose(features[1, 1], np.maximum(kernel, 0.0))
    features[1, 1] = 0.0
    np.testing.assert_array_equal(features, np.zeros([3, 2, 3]))


@pytest.mark.parametrize(
    "image_shape", [(8, 8), (28, 28), (1, 3), (7, 9, 2), (8, 8, 3)]
)
def test_decoder_reaches_every_pixel_and_parameter(image_shape):
    layer = ConvolutionalDecoder(
        image_shape, (6, 4), units=None, num_parameters=2, activation="tanh"
    )
    height, width, channels = (*image_shape, 1)[:3]
    y = layer(_points(3, 5))
    assert y.shape == (3, height, width, 2 * channels)
    assert (np.ptp(y, axis=0) > 0).all()


@pytest.mark.parametrize("units", [None, 7])
def test_decoder_undoes_the_sizes_of_the_encoder(units):
    encoder = ConvolutionalEncoder((28, 28), (32, 64), units=units)
    decoder = ConvolutionalDecoder((28, 28), (64, 32), units=units)
    features = encoder(_points(1, 28, 28))
    assert features.shape == (1, units or 7 * 7 * 64)
    assert decoder(features).shape == (1, 28, 28, 1)
    assert decoder.dense_layers[-1](features).shape == (1, 7 * 7 * 64)
