"""Moments of data in blocks: those of all data at once."""

import numpy as np
import pytest

from tfp_flows.layers import Standardization
from tfp_flows.layers.moments import Moments


def _of(blocks):
    moments = Moments()
    for block in blocks:
        moments.add(block)
    return moments


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_blocks_have_the_moments_of_the_whole(size):
    """Far from zero too, where sums of squares would lose every digit."""
    rng = np.random.default_rng(0)
    centred = rng.normal(size=[1000, 3]) * [1.0, 1e-3, 1e3]
    x = centred + [1e9, 5.0, 0.0]
    found = _of(x[i : i + size] for i in range(0, 1000, size))
    assert found.count == 1000
    centre = x - [1e9, 5.0, 0.0]  # exact
    np.testing.assert_allclose(
        found.mean, [1e9, 5.0, 0.0] + centre.mean(axis=0), rtol=1e-15, atol=1e-9
    )
    np.testing.assert_allclose(
        found.scale("float64"), centre.std(axis=0), rtol=1e-13
    )


def test_what_only_rounding_moves_stands_still():
    x = np.full([10, 2], 1e4)
    x[::2, 0] += 1e-3
    x[::2, 1] += 1.0
    np.testing.assert_allclose(_of([x]).scale("float32"), [1.0, 0.5])
    np.testing.assert_allclose(
        _of([x]).scale("float64"), [5e-4, 0.5], rtol=1e-6
    )


def test_empty_blocks_count_for_nothing():
    x = np.arange(6.0).reshape([3, 2])
    np.testing.assert_array_equal(_of([x[:0], x, x[:0]]).mean, _of([x]).mean)
    layer = Standardization()
    layer.build((None, 2))
    with pytest.raises(ValueError, match="at least one vector"):
        layer.adapt([x[:0]])
