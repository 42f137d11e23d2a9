"""What supports contain; supports in saved models."""

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


@pytest.mark.parametrize(
    ("support", "inside", "outside"),
    [
        (tfb.Sigmoid(-10.0, 10.0), (-10.0, 10.0), 10.001),
        (tfb.Sigmoid(5.0, 1005.0), (5.0, 1005.0), 4.99),
        (tfb.Chain([tfb.Shift(-1000.0), tfb.Exp()]), (-1000.0, 9.0), -1001.0),
        ("positive", (0.0, 1e6), -1e-6),
        ("unit_interval", (0.0, 1.0), 1.0 + 1e-6),
    ],
    ids=["20", "1000", "shifted", "positive", "unit_interval"],
)
def test_rounding_leads_out_of_no_support(support, inside, outside):
    """Numbers of float32 all over it, and beside 0."""
    low, high = inside
    rng = np.random.default_rng(0)
    x = rng.uniform(low, high, [20_000, 1]).astype(np.float32)
    tiny = np.geomspace(1e-30, 1.0, 1000, dtype=np.float32)[:, None]
    x = np.concatenate([x, tiny, -tiny])
    x = x[(x > low) & (x < high)][:, None]
    contains = supports.region(support, "float32").contains
    refused = x[~contains(tf.constant(x)).numpy()]
    assert not refused.size, refused
    assert not contains(tf.constant([[outside]], tf.float32)).numpy().any()
