import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tfp_flows.likelihoods import ClippedLogitNormal
from tfp_flows.likelihoods.logit_normal import CLIP

# What the class promises.
MEAN_TOLERANCE = {"float32": 5e-7, "float64": 1e-7}


@pytest.mark.parametrize("x", [0.01, 0.3, 0.5, 0.999])
def test_log_prob_is_that_of_the_logit_with_its_jacobian(x):
    loc, scale = 0.4, 1.3
    expected = (
        stats.norm(loc, scale).logpdf(special.logit(x))
        - np.log(x)
        - np.log1p(-x)
    )
    distribution = ClippedLogitNormal(tf.constant(loc, tf.float64), scale)
    np.testing.assert_allclose(distribution.log_prob(x), expected)


def test_density_integrates_to_one():
    distribution = ClippedLogitNormal(tf.constant(-0.5, tf.float64), 0.8)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x = 0.5 * (nodes + 1.0)
    total = np.sum(0.5 * weights * distribution.prob(x))
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_the_ends_count_as_if_they_were_inside():
    distribution = ClippedLogitNormal(0.2, 2.0)
    np.testing.assert_array_equal(
        distribution.log_prob([0.0, 1.0]),
        distribution.log_prob([CLIP, 1.0 - CLIP]),
    )


def _mean_by_quadrature(loc, scale):
    """On a grid finer than the sigmoid is wide at the largest scale."""
    z = np.linspace(-10.0, 10.0, 100_001)
    return np.average(
        special.expit(loc + scale * z), weights=np.exp(-z * z / 2)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mean(dtype):
    """Below scale 1, at it, and above; in the middle and far out."""
    scales = [1e-4, 0.3, 0.999, 1.0, 1.5, 4.0, 20.0, 300.0]
    locs = [-9.0, -0.7, 0.0, 0.2, 3.0]
    expected = [[_mean_by_quadrature(m, s) for s in scales] for m in locs]
    mean = ClippedLogitNormal(
        np.array(locs, dtype)[:, np.newaxis], np.array(scales, dtype)
    ).mean()
    np.testing.assert_allclose(
        mean, expected, rtol=0.0, atol=MEAN_TOLERANCE[dtype]
    )


def test_slices_like_a_distribution_of_tfp():
    distribution = ClippedLogitNormal(tf.zeros([4, 3]), tf.ones([3]))
    assert distribution[1:].batch_shape == (3, 3)
    assert distribution.event_shape == ()
    x = distribution.experimental_default_event_space_bijector()(0.0)
    np.testing.assert_allclose(x, 0.5)
