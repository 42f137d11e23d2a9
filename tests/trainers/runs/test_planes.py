"""Tests of the pixels of a plane."""

import numpy as np

from trainers.runs import planes


def test_pixels_are_the_middles_of_the_bins():
    points = planes.pixels(4, 2.0)
    np.testing.assert_array_equal(points[1, 0], [-1.5, -0.5])
    counts = planes.histogram(points.reshape(-1, 2), 2.0, 4)
    np.testing.assert_array_equal(counts, np.ones([4, 4]))


def test_histogram_has_the_first_coordinate_along_the_columns():
    counts = planes.histogram(np.array([[-1.5, 0.5], [9.0, 0.0]]), 2.0, 4)
    expected = np.zeros([4, 4])
    expected[2, 0] = 1
    np.testing.assert_array_equal(counts, expected)
