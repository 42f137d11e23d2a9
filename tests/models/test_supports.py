"""Supports in saved models: dtypes, and files of before."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.models import supports

tfb = tfp.bijectors


@pytest.mark.parametrize(
    "value",
    [np.float64(2.0), np.array([2.0, 3.0]), tf.constant(2.0, tf.float64)],
    ids=["scalar", "array", "tensor"],
)
def test_parameters_keep_their_dtype(value):
    saved = supports.serialize([tfb.Scale(value), "real"])
    loaded, name = supports.deserialize(saved)
    assert name == "real"
    assert loaded.dtype == tf.float64
    np.testing.assert_array_equal(loaded.scale, value)


def test_nested_bijectors():
    given = tfb.Chain([tfb.Shift(np.float64(1.0)), tfb.Exp()])
    loaded = supports.deserialize(supports.serialize(given))
    x = tf.constant([0.3, -2.0], tf.float64)
    np.testing.assert_array_equal(loaded.forward(x), given.forward(x))


def test_files_of_before_have_plain_lists():
    saved = {
        "bijector": "Chain",
        "parameters": {
            "bijectors": [
                {"bijector": "Shift", "parameters": {"shift": [1.0, 2.0]}},
                {"bijector": "Exp", "parameters": {}},
            ]
        },
    }
    loaded = supports.deserialize(saved)
    np.testing.assert_allclose(loaded.forward([0.0, 0.0]), [2.0, 3.0])


def test_what_is_no_number_is_refused():
    given = tfb.Inline(forward_fn=tf.exp, forward_min_event_ndims=0)
    with pytest.raises(ValueError, match="`support` must have numbers"):
        supports.serialize(given)
