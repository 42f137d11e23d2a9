"""Tests of what is said of a fit in the plane."""

import numpy as np

from tfp_flows import targets
from trainers.energies import planar


def samples_of_modes(target, counts, num_between=0):
    modes = np.array(target.modes)
    points = [
        np.repeat(mode[np.newaxis], count, axis=0)
        for mode, count in zip(modes, counts, strict=True)
    ]
    return np.concatenate([*points, np.ones([num_between, 2])])


def test_a_mode_is_found_with_half_of_its_share_of_the_samples():
    target = targets.get("mog9")
    counts = [50, 49, 0, *[100] * 6]
    samples = samples_of_modes(target, counts, num_between=201)
    assert len(samples) == 900
    found = planar.describe_modes(target, samples)
    assert found["num_modes"] == 9
    assert found["num_modes_found"] == 7
    np.testing.assert_allclose(found["mode_shares"], np.array(counts) / 900)
    np.testing.assert_allclose(found["between_modes"], 201 / 900)


def test_samples_further_than_three_deviations_are_between_the_modes():
    target = targets.get("mog9")
    samples = np.array([[0.0, 0.74], [0.0, 0.76]])
    found = planar.describe_modes(target, samples)
    assert found["between_modes"] == 0.5
