"""MADE as a density of binary vectors."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import digits
from tfp_flows.models import BernoulliMADE

D = 5
ORDER = (3, 0, 4, 1, 2)


def _model(order=None, scale=1.0):
    model = BernoulliMADE((8, 8), "tanh", order=order, event_shape=(D,), seed=0)
    model.build((None, D))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign_add(scale * rng.normal(size=weight.shape))
    return model


def _all_vectors():
    return np.array(list(itertools.product([0, 1], repeat=D)), np.float32)


@pytest.mark.parametrize("order", [None, ORDER])
def test_the_density_adds_up_to_one(order):
    log_prob = _model(order).log_prob(_all_vectors())
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, rtol=1e-5)
    assert np.std(log_prob) > 0.1


@pytest.mark.parametrize("order", [None, ORDER])
def test_samples_follow_the_density(order):
    model, n = _model(order), 50_000
    samples = model.sample(n, seed=3).numpy()
    assert set(np.unique(samples)) == {0.0, 1.0}
    codes = samples @ 2 ** np.arange(D)[::-1]
    counts = np.bincount(codes.astype(int), minlength=2**D)
    expected = n * np.exp(model.log_prob(_all_vectors()))
    # Chi-square with 31 degrees of freedom: 62 is beyond 1 in 1,000.
    assert np.sum((counts - expected) ** 2 / expected) < 62
    np.testing.assert_array_equal(model.sample(n, seed=3), samples)


def test_an_element_depends_on_those_before_it_alone():
    model = _model(ORDER)
    x = tf.constant(np.random.default_rng(1).normal(size=(1, D)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model(x)
    jacobian = tape.jacobian(logits, x)[0, :, 0].numpy()
    before = np.less.outer(ORDER, ORDER).T  # [output, input]
    assert np.all(jacobian[~before] == 0)
    assert np.all(jacobian[before] != 0)


def test_fits_digits_better_than_independent_pixels(tmp_path):
    images = digits.images(1797)
    train, test = images[:1500], images[1500:]
    model = BernoulliMADE((64,), seed=0)
    model.compile(keras.optimizers.Adam(5e-3))
    history = model.fit(train, batch_size=100, epochs=30, verbose=0).history
    assert history["log_likelihood"][-1] > history["log_likelihood"][0]
    metrics = model.evaluate(test, return_dict=True, verbose=0)
    np.testing.assert_allclose(
        metrics["log_likelihood"], np.mean(model.log_prob(test)), rtol=1e-5
    )
    means = np.clip(train.mean(axis=0), 1e-3, 1 - 1e-3)
    independent = test * np.log(means) + (1 - test) * np.log1p(-means)
    baseline = independent.reshape(len(test), -1).sum(axis=-1).mean()
    assert metrics["log_likelihood"] > baseline + 5

    model.save(tmp_path / "made.keras")
    loaded = keras.saving.load_model(tmp_path / "made.keras")
    np.testing.assert_array_equal(loaded.log_prob(test), model.log_prob(test))
    np.testing.assert_array_equal(loaded.sample(3), model.sample(3))
    assert loaded.sample(3).shape == (3, *test.shape[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_units": (3,)}, "`hidden_units` must hold sizes of at least"),
        ({"order": (0, 1, 2, 3, 3)}, "`order` must hold each of 0, ..., 4"),
        (
            {"hidden_units": (0,)},
            "`hidden_units` must be a sequence of integers",
        ),
        ({"activation": "swish?"}, "`activation` must be one of"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        BernoulliMADE(
            **{"hidden_units": (8,), "event_shape": (D,), **arguments}
        ).build((None, D))


def test_values_that_are_not_binary_are_refused_or_warned_of():
    with pytest.raises(ValueError, match=r"`x` must be in \[0, 1\]"):
        _model().log_prob(np.full([2, D], 2.0, "float32"))
    with pytest.raises(ValueError, match="`n` must be an integer >= 1"):
        _model().sample(0)
