"""Dropout of the trainers: Keras's in all but its random numbers."""

import keras
import numpy as np
import tensorflow as tf

from trainers.densities.dropout import Dropout


def test_it_drops_a_share_and_keeps_the_mean():
    layer, x = Dropout(0.25, seed=3), tf.ones([200, 500])
    np.testing.assert_array_equal(layer(x), x)
    y = layer(x, training=True).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1.0 / 0.75)}
    assert abs(np.mean(y == 0.0) - 0.25) < 5 * (0.1875 / y.size) ** 0.5
    assert not np.array_equal(y, layer(x, training=True))
    again = Dropout(0.25, seed=3)
    np.testing.assert_array_equal(again(x, training=True), y)
    np.testing.assert_array_equal(Dropout(0.0, seed=3)(x, training=True), x)


def test_xla_draws_the_same():
    found = []
    for jit_compile in (False, True):
        layer = Dropout(0.5, seed=1)
        call = tf.function(layer, jit_compile=jit_compile)
        found.append([call(tf.ones([8, 9]), training=True) for _ in range(2)])
    np.testing.assert_array_equal(*found)


def test_a_saved_one_is_of_the_same_class():
    config = keras.saving.serialize_keras_object(Dropout(0.1, seed=2))
    loaded = keras.saving.deserialize_keras_object(config)
    assert isinstance(loaded, Dropout)
    assert (loaded.rate, loaded.seed) == (0.1, 2)
