"""Tests of the simulators, against their likelihoods."""

import math

import numpy as np
import pytest
from scipy import stats

from trainers.densities.simulators import SIMULATORS


def simulate(name, n=100_000, seed=0, purpose="test"):
    return SIMULATORS[name].simulate(n, seed=seed, purpose=purpose)


@pytest.mark.parametrize("name", SIMULATORS)
def test_prior_is_uniform_and_the_key_decides(name):
    simulator = SIMULATORS[name]
    theta, x = simulate(name)
    assert theta.dtype == x.dtype == np.float32
    assert x.shape == (100_000, simulator.num_observed)
    for column in (theta / simulator.half_width).T:
        assert stats.kstest(column, "uniform", (-1, 2)).pvalue > 1e-3
    few = simulate(name, 10)
    np.testing.assert_array_equal(few[0], theta[:10])
    np.testing.assert_array_equal(few[1], x[:10])
    for other in (simulate(name, 10, seed=1), simulate(name, 10, purpose="a")):
        assert not np.any(other[0] == theta[:10])


def test_further_simulations_are_new_ones():
    theta, _ = simulate("two_moons", 150_000)
    assert len(theta) == 150_000
    assert not np.any(theta[:50_000] == theta[100_000:])


def test_two_moons_are_half_rings_about_their_place():
    theta, x = simulate("two_moons")
    first, second = theta.T.astype(np.float64)
    along = x[:, 0] - 0.25 + np.abs(first + second) / math.sqrt(2.0)
    across = x[:, 1] - (second - first) / math.sqrt(2.0)
    radius, angle = np.hypot(along, across), np.arctan2(across, along)
    assert stats.kstest(radius, stats.norm(0.1, 0.01).cdf).pvalue > 1e-3
    uniform = (-math.pi / 2.0, math.pi)
    assert stats.kstest(angle, "uniform", uniform).pvalue > 1e-3


def test_gaussian_mixture_has_one_scale_in_each_simulation():
    theta, x = simulate("gaussian_mixture")
    squares = np.square((x - theta).astype(np.float64)).sum(axis=-1)

    def cdf(value):
        wide, narrow = stats.chi2(2).cdf([value, value / 0.01])
        return 0.5 * (wide + narrow)

    assert stats.kstest(squares, cdf).pvalue > 1e-3


def test_slcp_points_are_of_the_gaussian_of_their_parameters():
    theta, x = simulate("slcp")
    theta, points = theta.astype(np.float64), x.reshape(-1, 4, 2)
    scales = theta[:, np.newaxis, 2:4] ** 2
    first, second = np.moveaxis(
        (points - theta[:, np.newaxis, :2]) / scales, -1, 0
    )
    correlation = np.tanh(theta[:, 4:])
    rest = (second - correlation * first) / np.sqrt(1.0 - correlation**2)
    # Without scales that rounding of the points makes as good as zero.
    kept = (np.abs(theta[:, 2:4]) > 0.1).all(axis=-1)
    kept &= np.abs(theta[:, 4]) < 2.5
    for part in (first[kept], rest[kept]):
        assert stats.kstest(part.ravel(), "norm").pvalue > 1e-3
    both = np.stack([first[kept], rest[kept]], axis=-1).reshape(-1, 8)
    correlations = np.corrcoef(both.T) - np.eye(8)
    assert np.abs(correlations).max() < 0.02
