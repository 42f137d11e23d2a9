"""Noise is a function of (seed, step, purpose) alone."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow.compiler.tf2xla.python import xla

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


ROWS = {"seed": 5, "purpose": "rows"}


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("event_shape", [(), (1,), (3,), (5, 2), (0,)])
def test_rows_of_the_shares_are_those_of_the_whole(event_shape, dtype):
    @tf.function(reduce_retracing=True)
    def share(num_rows, first_row):
        return noise.normal_rows(
            num_rows,
            event_shape,
            step=2,
            first_row=first_row,
            dtype=dtype,
            **ROWS,
        )

    whole = noise.normal_rows(31, event_shape, step=2, dtype=dtype, **ROWS)
    assert whole.shape == (31, *event_shape)
    assert whole.dtype == dtype
    shares = [(0, 1), (1, 13), (14, 0), (14, 17)]
    drawn = [share(tf.constant(n), tf.constant(i)) for i, n in shares]
    np.testing.assert_array_equal(tf.concat(drawn, axis=0), whole)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_rows_are_the_same_eager_graph_and_xla(dtype):
    """Key and offset are arguments: constants are folded before XLA."""

    def rows(step, first_row):
        return noise.normal_rows(
            20, [7], step=step, first_row=first_row, dtype=dtype, **ROWS
        )

    graph, xla = tf.function(rows), tf.function(rows, jit_compile=True)
    for first_row in (0, 7, 2**31 - 1, 2**31):
        arguments = tf.constant(3), tf.constant(first_row, tf.int64)
        eager = rows(*arguments)
        np.testing.assert_array_equal(eager, graph(*arguments))
        np.testing.assert_allclose(
            eager, xla(*arguments), atol=XLA_TOLERANCE[dtype]
        )


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("event_shape", [(), (3,), (5, 2), (0,)])
def test_rows_for_a_tpu_are_the_same(event_shape, dtype, monkeypatch):
    def rows():
        return noise.normal_rows(
            9, event_shape, step=3, first_row=2**33 + 1, dtype=dtype, **ROWS
        )

    by_op = rows()
    monkeypatch.setattr(noise, "_shapes_are_bounds", lambda: True)
    np.testing.assert_array_equal(rows(), by_op)


def test_rows_for_a_tpu_need_no_number_that_xla_knows(monkeypatch):
    """As of a last batch, which a TPU pads and counts."""
    monkeypatch.setattr(noise, "_shapes_are_bounds", lambda: True)

    @tf.function(jit_compile=True)
    def total(count):
        batch = tf.zeros([8, 3])
        batch = xla.set_dynamic_dimension_size(batch, 0, count)
        rows = tf.shape(batch)[0]
        drawn = noise.normal_rows(rows, (3,), step=3, **ROWS)
        return tf.reduce_sum(batch + drawn, axis=0)

    for count in (5, 8):
        drawn = noise.normal_rows(count, (3,), step=3, **ROWS)
        np.testing.assert_allclose(
            total(tf.constant(count)), tf.reduce_sum(drawn, axis=0), atol=1e-5
        )


def test_far_rows_are_neither_near_ones_nor_wrapped():
    first_rows = [0, 2**30, 2**31 - 10, 2**31, 2**32, 2**33]
    draws = np.concatenate(
        [
            noise.normal_rows(20, [40], step=0, first_row=first, **ROWS)
            for first in first_rows
        ]
    )
    # 2**31 - 10 and 2**31 overlap by ten rows; all others differ.
    np.testing.assert_array_equal(draws[50:60], draws[60:70])
    assert len(np.unique(draws, axis=0)) == 6 * 20 - 10


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_rows_are_standard_normal_and_independent(size, dtype):
    num_rows = 120_000 // size
    rows = noise.normal_rows(num_rows, [size], step=0, dtype=dtype, **ROWS)
    rows = rows.numpy().astype(np.float64)
    assert stats.kstest(rows.ravel(), "norm").pvalue > 1e-3
    for column in rows.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    assert stats.kurtosis(rows.ravel()) == pytest.approx(0.0, abs=0.1)
    # Columns of a row, and of the row after it, are uncorrelated.
    columns = np.concatenate([rows[:-1], rows[1:]], axis=1)
    for values in (columns, columns**2):
        correlation = np.corrcoef(values.T) - np.eye(2 * size)
        assert np.abs(correlation).max() < 5 / np.sqrt(num_rows)


def test_seed_step_and_purpose_each_change_the_rows():
    keys = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b")]
    draws = [
        noise.normal_rows(1000, [4], seed=seed, step=step, purpose=purpose)
        for seed, step, purpose in keys
    ]
    draws.append(noise.normal([1000, 4], seed=0, step=0, purpose="a"))
    correlation = np.corrcoef(np.reshape(draws, [5, -1])) - np.eye(5)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_seed_out_of_range_is_refused_for_rows():
    with pytest.raises(ValueError, match="`seed` must be in .* got -1"):
        noise.normal_rows(2, [3], seed=-1, step=0, purpose="x")


def test_values_are_those_of_committed_results():
    kwargs = {"seed": 1, "step": 2, "purpose": "pinned"}
    np.testing.assert_allclose(
        noise.normal([3], **kwargs),
        [-0.93324536, 1.1369467, -0.99137169],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        noise.uniform([3], **kwargs),
        [0.33898562, 0.15950215, 0.35938978],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        noise.normal_rows(3, [1], **kwargs)[:, 0],
        [-1.5014466, 0.43318117, -0.53836894],
        rtol=1e-6,
    )
