"""Noise is a function of (seed, step, purpose) alone."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfp_flows.math import noise

# Transcendental functions of XLA and of the graph kernels differ by rounding.
XLA_TOLERANCE = {tf.float32: 2e-6, tf.float64: 1e-14}


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("draw", [noise.normal, noise.uniform])
def test_same_noise_eager_graph_and_xla_for_a_step_in_a_variable(draw, dtype):
    """With a constant step the test would pass for any implementation."""
    step = tf.Variable(12)

    def call():
        return draw([501, 3], seed=7, step=step, purpose="x", dtype=dtype)

    eager = call()
    assert eager.dtype == dtype
    np.testing.assert_array_equal(eager, tf.function(call)())
    np.testing.assert_allclose(
        eager,
        tf.function(call, jit_compile=True)(),
        atol=XLA_TOLERANCE[dtype],
    )


def test_seed_step_and_purpose_each_change_the_noise():
    keys = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b")]
    draws = np.stack(
        [
            noise.normal([4000], seed=seed, step=step, purpose=purpose)
            for seed, step, purpose in keys
        ]
    )
    correlation = np.corrcoef(draws) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_distributions(dtype):
    kwargs = {"seed": 3, "step": 0, "purpose": "test", "dtype": dtype}
    normal = noise.normal([300_001], **kwargs).numpy().astype(np.float64)
    uniform = noise.uniform([100_000], **kwargs).numpy().astype(np.float64)
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert uniform.min() >= 0.0
    assert uniform.max() < 1.0
    # Both halves of a pair, and their product, are uncorrelated.
    first, second = normal[:300_000].reshape(-1, 2).T
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01
    assert abs(np.corrcoef(first**2, second**2)[0, 1]) < 0.01


def test_seed_out_of_range_is_refused():
    with pytest.raises(ValueError, match="`seed` must be in .* got -1"):
        noise.normal([2], seed=-1, step=0, purpose="x")


@pytest.mark.parametrize("draw", [noise.normal, noise.uniform])
@pytest.mark.parametrize("shape", [[], [1], (2, 3), [0, 3]])
def test_shapes(draw, shape):
    kwargs = {"seed": 0, "step": 0, "purpose": "shapes"}
    assert draw(shape, **kwargs).shape == list(shape)
    as_tensor = tf.constant(shape, tf.int32)
    assert draw(as_tensor, **kwargs).shape == list(shape)


def test_unknown_shape():
    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def like(x):
        return noise.normal(tf.shape(x), seed=0, step=0, purpose="x")

    np.testing.assert_array_equal(
        like(tf.zeros([5, 3])),
        noise.normal([5, 3], seed=0, step=0, purpose="x"),
    )
