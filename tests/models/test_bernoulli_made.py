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


@pytest.mark.slow
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


def _ensemble(num_masks, hidden_units=(3, 4), scale=1.0):
    model = BernoulliMADE(
        hidden_units, "tanh", event_shape=(D,), seed=0, num_masks=num_masks
    )
    model.build((None, D))
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign_add(scale * rng.normal(size=weight.shape))
    return model


@pytest.mark.parametrize("num_masks", [1, 3])
@pytest.mark.parametrize("hidden_units", [(3,), (9, 7), (4, 4, 4)])
def test_the_density_of_drawn_masks_adds_up_to_one(num_masks, hidden_units):
    log_prob = _ensemble(num_masks, hidden_units).log_prob(_all_vectors())
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, rtol=1e-5)
    assert np.std(log_prob) > 0.1


def test_the_density_is_the_mean_of_those_under_each_set_of_masks():
    model, x = _ensemble(3), _all_vectors()
    of_sets = [
        -tf.reduce_sum(
            tf.nn.sigmoid_cross_entropy_with_logits(
                x, model.made(x, index=index)
            ),
            axis=-1,
        )
        for index in range(3)
    ]
    assert np.ptp(of_sets, axis=0).max() > 0.1
    np.testing.assert_allclose(
        np.exp(model.log_prob(x)), np.exp(of_sets).mean(axis=0), rtol=1e-5
    )


def test_each_set_of_masks_has_an_order_of_its_own():
    made = _ensemble(4, (30, 30)).made
    x = tf.constant(np.random.default_rng(1).normal(size=(1, D)), tf.float32)
    orders = []
    for index in range(4):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = made(x, index=index)
        jacobian = tape.jacobian(outputs, x)[0, :, 0].numpy()
        sequence = made.sequence(index).numpy()
        assert sorted(sequence) == list(range(D))
        sorted_jacobian = jacobian[np.ix_(sequence, sequence)]
        below = np.tri(D, k=-1, dtype=bool)
        assert np.all(sorted_jacobian[~below] == 0)
        assert np.any(sorted_jacobian[below] != 0)
        orders.append(tuple(sequence))
    assert len(set(orders)) > 1


@pytest.mark.parametrize("num_masks", [1, 3])
def test_samples_under_drawn_masks_follow_the_density(num_masks):
    model, n = _ensemble(num_masks), 50_000
    samples = model.sample(n, seed=3).numpy()
    codes = samples @ 2 ** np.arange(D)[::-1]
    counts = np.bincount(codes.astype(int), minlength=2**D)
    expected = n * np.exp(model.log_prob(_all_vectors()))
    assert np.sum((counts - expected) ** 2 / expected) < 62


def test_strategies_compute_samples_and_densities():
    def found():
        model = BernoulliMADE((8,), num_masks=3, event_shape=(D,), seed=0)
        model.build((None, D))
        return model, model.sample(20, seed=1), model.log_prob(_all_vectors())

    plain, *expected = found()
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model, samples, log_probs = found()
    np.testing.assert_array_equal(samples, expected[0])
    np.testing.assert_allclose(log_probs, expected[1], rtol=1e-6)
    assert set(model.compiled_functions) == {"log_prob", "sample"}
    assert not plain.compiled_functions


def test_updates_take_the_sets_of_masks_in_turn():
    model = _ensemble(3, (20,), scale=0.0)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    x = _all_vectors()
    shown = []
    for _ in range(4):
        model.reset_metrics()
        logs = model.train_on_batch(x, return_dict=True)
        shown.append(float(logs["log_likelihood"]))
    assert len(set(shown[:3])) == 3
    assert shown[3] == shown[0]


def test_drawn_masks_are_saved(tmp_path):
    model = _ensemble(3)
    model.save(tmp_path / "made.keras")
    loaded = keras.saving.load_model(tmp_path / "made.keras")
    x = _all_vectors()
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))
    np.testing.assert_array_equal(loaded.sample(5), model.sample(5))


def test_a_given_order_is_that_of_all_sets():
    model = BernoulliMADE((8,), order=ORDER, event_shape=(D,), num_masks=2)
    model.build((None, D))
    for index in range(2):
        np.testing.assert_array_equal(
            model.made.sequence(index), np.argsort(ORDER)
        )


def test_orders_are_drawn_by_default():
    orders = set()
    for seed in range(4):
        model = BernoulliMADE((8,), event_shape=(D,), seed=seed)
        model.build((None, D))
        orders.add(tuple(model.made.sequence(0).numpy()))
    assert len(orders) > 1


def test_direct_connections_see_all_before_and_start_at_zero():
    model = BernoulliMADE((1,), order=ORDER, event_shape=(D,), seed=0)
    model.build((None, D))
    x = tf.constant(_all_vectors())
    without = BernoulliMADE(
        (1,), order=ORDER, event_shape=(D,), seed=0, direct_connections=False
    )
    without.build((None, D))
    np.testing.assert_array_equal(model(x), without(x))
    assert model.count_params() == without.count_params() + D * D
    direct = model.trainable_weights[-1]
    direct.assign_add(np.ones(direct.shape))
    before = np.less.outer(ORDER, ORDER).T  # [output, input]
    expected = without(x) + tf.linalg.matvec(before.astype("float32"), x)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)


def test_bad_numbers_of_masks():
    with pytest.raises(ValueError, match="`num_masks` must be an integer >= 1"):
        BernoulliMADE((8,), num_masks=0)
