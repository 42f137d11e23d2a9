"""Tests of the two-sample tests, where their values are known."""

import math

import numpy as np
import pytest
from scipy import stats

from trainers.densities import two_samples


def draws(n, shift=0.0, scale=1.0, size=2, seed=0):
    rng = np.random.default_rng(seed)
    x = scale * rng.normal(size=[n, size])
    x[:, 0] += shift
    return x


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_classifier_is_as_good_as_the_best_one(shift):
    # In units and places that only standardisation makes harmless.
    reference = 1e3 * draws(1_500) + 5e3
    other = 1e3 * draws(1_500, shift, seed=1) + 5e3
    accuracy = two_samples.classifier_two_sample_test(reference, other)
    best = stats.norm.cdf(shift / 2.0)  # of any classifier
    assert accuracy == pytest.approx(best, abs=0.03)


def test_squared_mmd_is_that_of_gaussians():
    n, shift = 2_000, 1.0
    reference, other = draws(n), draws(n, shift, seed=1)
    distances = np.sqrt(
        np.square(reference[:, np.newaxis] - reference).sum(axis=-1)
    )
    squared_width = np.median(distances[np.triu_indices(n, 1)]) ** 2
    # E k(a, b) of two Gaussians whose difference is N(m, 2 I), D = 2.
    spread = squared_width + 2.0
    same = squared_width / spread
    crossed = same * math.exp(-0.5 * shift**2 / spread)
    found = two_samples.squared_mmd(reference, other)
    assert found == pytest.approx(2.0 * (same - crossed), rel=0.1)


def test_squared_mmd_of_equal_distributions_is_zero_on_average():
    found = [
        two_samples.squared_mmd(draws(200, seed=i), draws(200, seed=100 + i))
        for i in range(50)
    ]
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found)) < 3.5 * error
    assert min(found) < 0.0
