"""Tests of the data in the plane."""

import math

import numpy as np
import pytest
import tensorflow as tf

from trainers.densities.planar_data import PLANAR_DATA


def samples(name, n=100_000, seed=0, purpose="test"):
    return PLANAR_DATA[name].samples(n, seed=seed, purpose=purpose)


@pytest.mark.parametrize("name", PLANAR_DATA)
def test_points_depend_on_the_key_alone(name):
    data = PLANAR_DATA[name]

    def points(seed=1, step=2, purpose="a"):
        key = {"seed": seed, "step": step, "purpose": purpose}
        return data.sample(50, **key).numpy()

    first = points()
    assert first.shape == (50, 2)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, points())
    in_graph = tf.function(
        lambda step: data.sample(50, seed=1, step=step, purpose="a")
    )
    np.testing.assert_allclose(in_graph(tf.constant(2)), first, atol=1e-5)
    for other in (points(seed=2), points(step=3), points(purpose="b")):
        assert np.mean(other == first) < 0.1


def test_no_two_parts_of_a_sample_are_equal():
    points = samples("pinwheel", 250_000)
    assert len(points) == 250_000
    assert not np.any(points[:100_000] == points[100_000:200_000])


def test_entropy_of_eight_gaussians_is_their_integral():
    data = PLANAR_DATA["eight_gaussians"]
    num_points, end = 800, 2.0 * math.sqrt(2.0) * (1.0 + 9.0 / 8.0)
    width = 2.0 * end / num_points
    axis = -end + width * (np.arange(num_points) + 0.5)
    log_prob = data.log_prob(np.stack(np.meshgrid(axis, axis), axis=-1))
    prob = np.exp(log_prob) * width**2
    assert prob.sum() == pytest.approx(1.0, abs=1e-12)
    assert -(prob * log_prob).sum() == pytest.approx(data.entropy, abs=1e-13)


def test_entropy_of_the_checkerboard_is_the_logarithm_of_its_area():
    data = PLANAR_DATA["checkerboard"]
    axis = np.linspace(-5.0, 5.0, 1_000, endpoint=False) + 0.005
    log_prob = data.log_prob(np.stack(np.meshgrid(axis, axis), axis=-1))
    area = np.isfinite(log_prob).mean() * 100.0
    assert area == pytest.approx(32.0)
    assert data.entropy == pytest.approx(math.log(area))
    np.testing.assert_allclose(log_prob[np.isfinite(log_prob)], -data.entropy)


@pytest.mark.parametrize("name", ["eight_gaussians", "checkerboard"])
def test_samples_have_the_entropy(name):
    data = PLANAR_DATA[name]
    log_prob = data.log_prob(samples(name).astype(np.float64))
    error = log_prob.std() / math.sqrt(len(log_prob))
    assert abs(log_prob.mean() + data.entropy) <= 4 * error + 1e-12


@pytest.mark.parametrize("name", ["eight_gaussians", "checkerboard"])
def test_samples_follow_the_density(name):
    points = samples(name)
    edges = np.linspace(-4.0, 4.0, 9)
    counts, _, _ = np.histogram2d(*points.T, [edges, edges])
    fine = np.linspace(-4.0, 4.0, 800, endpoint=False) + 0.005
    grid = np.stack(np.meshgrid(fine, fine, indexing="ij"), axis=-1)
    prob = np.exp(PLANAR_DATA[name].log_prob(grid)) * 0.01**2
    expected = prob.reshape(8, 100, 8, 100).sum(axis=(1, 3)) * len(points)
    assert np.all(counts[expected == 0] == 0)
    kept = expected > 5
    difference = (counts - expected)[kept] / np.sqrt(expected[kept])
    assert np.sum(difference**2) < 110  # of at most 64: beyond 1 in 1,000


@pytest.mark.parametrize(
    ("name", "scale"), [("two_moons", 1.8), ("pinwheel", 1.4)]
)
def test_others_are_centred_and_of_a_size(name, scale):
    points = samples(name)
    assert np.all(np.abs(points.mean(axis=0)) < 0.5)
    assert np.all(np.abs(points) < 5.0)
    np.testing.assert_allclose(points.std(), scale, atol=0.4)


def test_moons_are_half_circles():
    upper_x, upper_y = ((samples("two_moons", 20_000) + [1.0, 0.2]) / 2.0).T
    distance_to_upper = np.abs(np.hypot(upper_x, upper_y) - 1.0)
    distance_to_lower = np.abs(np.hypot(upper_x - 1.0, upper_y - 0.5) - 1.0)
    is_near = np.minimum(distance_to_upper, distance_to_lower) < 0.45
    assert is_near.mean() > 0.999
    assert 0.4 < (distance_to_upper < distance_to_lower).mean() < 0.6
