import decimal

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.likelihoods import DiscretizedLogistic

LEVELS = np.arange(256) / 255


def _log_mass(level, loc, scale):
    """By subtraction, with as many digits as it takes."""
    decimal.getcontext().prec = 400
    level, loc, scale = map(decimal.Decimal, map(float, (level, loc, scale)))
    half = decimal.Decimal("0.5")

    def cdf(x):
        return 1 / (1 + (-(x - loc) / scale).exp())

    upper = cdf((level + half) / 255) if level < 255 else 1
    lower = cdf((level - half) / 255) if level > 0 else 0
    return float((upper - lower).ln())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_prob_equals_the_difference_of_two_cdfs(dtype):
    loc = np.array([0.5, 0.123, -0.5, 1.2]).reshape(-1, 1, 1)
    scale = np.array([2e-3, 0.05, 1.0, 50.0]).reshape(-1, 1)
    level = np.array([0, 1, 31, 128, 200, 254, 255])
    distribution = DiscretizedLogistic(loc.astype(dtype), scale.astype(dtype))
    np.testing.assert_allclose(
        distribution.log_prob((level / 255).astype(dtype)),
        np.vectorize(_log_mass)(level, loc, scale),
        rtol=1e-12 if dtype == "float64" else 2e-4,
        atol=1e-15 if dtype == "float64" else 1e-7,
    )


def test_masses_of_the_levels_add_up_to_one():
    loc = tf.constant([-3.0, 0.0, 0.3, 1.0, 2.0])[:, tf.newaxis]
    scale = tf.constant([1e-4, 1e-2, 0.7, 1e3])
    distribution = DiscretizedLogistic(loc, scale)
    x = tf.constant(LEVELS, tf.float32)[:, tf.newaxis, tf.newaxis]
    mass = distribution.prob(x)
    np.testing.assert_allclose(
        tf.reduce_sum(mass, axis=0), np.ones([5, 4]), atol=1e-5
    )
    np.testing.assert_allclose(
        distribution.mean(), tf.reduce_sum(x * mass, axis=0), atol=1e-5
    )


def test_far_tails_are_finite_with_finite_gradients():
    loc = tf.constant([-50.0, 0.9, 50.0])[:, tf.newaxis, tf.newaxis]
    scale = tf.constant([1e-4, 1e4])[:, tf.newaxis]
    with tf.GradientTape() as tape:
        tape.watch([loc, scale])
        log_prob = DiscretizedLogistic(loc, scale).log_prob([0.0, 7 / 255, 1.0])
    assert np.isfinite(log_prob).all()
    for gradient in tape.gradient(log_prob, [loc, scale]):
        assert np.isfinite(gradient).all()


def test_gradient_points_to_the_bin_from_far_away():
    """The slope of the log mass in the tail is 1 / scale."""
    loc = tf.constant([-1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(loc)
        log_prob = DiscretizedLogistic(loc, 0.01).log_prob(100 / 255)
    np.testing.assert_allclose(
        tape.gradient(log_prob, loc), [100.0, -100.0], rtol=1e-4
    )


def test_draws_lie_on_the_levels_with_their_masses():
    num_draws = 50_000
    distribution = DiscretizedLogistic(tf.constant(0.1), 0.1)
    x = distribution.sample(num_draws, seed=(1, 2)).numpy()
    k = np.round(x * 255).astype(int)
    np.testing.assert_allclose(x, k / 255, atol=1e-7)
    mass = distribution.prob(LEVELS.astype(np.float32)).numpy()
    counts = np.bincount(k, minlength=256)
    error = np.sqrt(num_draws * mass * (1.0 - mass)) + 1.0
    assert np.all(np.abs(counts - num_draws * mass) < 5.0 * error)
    assert mass[0] > 0.2  # the bin of 0 takes the tail


def test_value_between_levels_counts_as_the_nearest():
    distribution = DiscretizedLogistic(tf.constant(0.4), 0.01)
    np.testing.assert_array_equal(
        distribution.log_prob([100.4 / 255, -0.1, 1.1]),
        distribution.log_prob([100.0 / 255, 0.0, 1.0]),
    )


def test_slices_like_a_distribution_of_tfp():
    distribution = DiscretizedLogistic(tf.zeros([4, 3]), tf.ones([3]))
    assert distribution[1:].batch_shape == (3, 3)
    assert distribution.event_shape == ()
    assert distribution.experimental_default_event_space_bijector() is None
