"""Tests of what the tables of runs on images share."""

import numpy as np
import pytest

from tests.trainers.report.test_images import digit, result
from trainers.report import image_runs


def test_difference_is_that_of_the_runs_own_bounds():
    cif = digit("none", 0, [0.0, 0.0], [3.0, 5.0], bound="auxiliary_elbo")
    cif["per_image"]["auxiliary_elbo"] = np.float32([1.0, 2.0])
    plain = digit("none", 0, [0.5, 0.5], [1.0, 1.0])
    found = image_runs.difference(cif, plain, image_runs.bound_name)
    np.testing.assert_array_equal(found, [0.5, 1.5])
    found = image_runs.difference(cif, plain, image_runs.iwae_name)
    np.testing.assert_array_equal(found, [2.0, 4.0])


def test_seeds_are_averaged_image_by_image():
    images, error = image_runs.over_seeds(
        [np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0, 5.0])]
    )
    np.testing.assert_array_equal(images, [2.0, 3.0, 4.0])
    assert error == pytest.approx(1.0)
    assert image_runs.mean_over_images(images) == "+3.000 ± 0.577"


def test_interval_is_the_mean_give_or_take_two_errors():
    values = np.array([-1.0, 0.0, 1.0, 2.0])  # error 0.6455
    assert image_runs.interval(values) == "+0.500 (-0.765 to +1.765)"


@pytest.mark.parametrize(
    ("changes", "is_shared"),
    [
        ({"num_steps": 7}, True),
        ({"recipe": "paper"}, True),
        ({"seed": 1}, False),
        ({"num_iwae_images": 7}, False),
        ({"protocol": {**result()["protocol"], "num_test": 7}}, False),
    ],
)
def test_evaluations_may_be_of_trainings_of_different_length(
    changes, is_shared
):
    pair = result(), result(**changes)
    a, b = map(image_runs.evaluation, pair)
    assert (a == b) == is_shared
    a, b = map(image_runs.conditions, pair)
    assert a != b
