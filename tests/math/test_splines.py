"""Rational-quadratic splines: values, inverse, gradients, ends."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import splines

B = 3.0
NUM_BINS = 6
# Errors over eps times what rounding the knots explains.
MAX_ERROR_IN_EPS = 8.0
# name -> scale of the free reals.
SCALES = {"moderate": 1.0, "steep": 3.0, "extreme": 10.0}


def _free(scale, num_points, dtype, seed=0, num_bins=NUM_BINS):
    """Free reals `[3 K - 1, N]` of one spline for each of N points."""
    rng = np.random.default_rng(seed)
    free = scale * rng.normal(size=[3 * num_bins - 1, num_points])
    return tf.constant(free.astype(dtype))


def _knots(scale, num_points, dtype=np.float64, seed=0):
    free = _free(scale, num_points, dtype, seed)
    return splines.unpack(free, NUM_BINS, B)


def _points(num_points, dtype=np.float64, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(-B, B, size=num_points).astype(dtype)


def _reference(x, knots):
    """`(y, log dy/dx, largest slope of the bin)` of single points."""
    rows = []
    with mpmath.workdps(50):
        for i, point in enumerate(np.asarray(x, np.float64)):
            xs, ys, ds = (
                [mpmath.mpf(float(v)) for v in k[:, i]]
                for k in map(np.asarray, knots)
            )
            k = max(j for j in range(NUM_BINS) if point >= xs[j])
            w, h = xs[k + 1] - xs[k], ys[k + 1] - ys[k]
            s, t = h / w, (mpmath.mpf(float(point)) - xs[k]) / w
            q = s + (ds[k] + ds[k + 1] - 2 * s) * t * (1 - t)
            top = s * t**2 + ds[k] * t * (1 - t)
            slope = s**2 * (
                ds[k + 1] * t**2 + 2 * s * t * (1 - t) + ds[k] * (1 - t) ** 2
            )
            steepest = max(s, ds[k], ds[k + 1]) / min(
                mpmath.mpf(1), s, ds[k], ds[k + 1]
            )
            rows.append(
                [ys[k] + h * top / q, mpmath.log(slope / q**2), steepest, w]
            )
    return np.array(rows, np.longdouble).T


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", SCALES)
def test_value_and_log_derivative_are_right_to_rounding(
    case, dtype, jit_compile
):
    x, knots = _points(300, dtype), _knots(SCALES[case], 300, dtype)
    forward = tf.function(
        splines.forward, jit_compile=jit_compile, autograph=False
    )
    y, log_slope = forward(tf.constant(x), knots)
    expected_y, expected, steepest, width = _reference(x, knots)
    eps = np.finfo(dtype).eps
    # A rounding of x by eps B moves y by that times the slope.
    limit = MAX_ERROR_IN_EPS * eps * B * np.maximum(1, np.exp(expected))
    assert (np.abs(y - expected_y) <= limit).all()
    limit = MAX_ERROR_IN_EPS * eps * (1 + steepest * B / width)
    assert (np.abs(log_slope - expected) <= limit).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zeros_and_equal_bins_are_the_identity(dtype):
    x = np.linspace(-2 * B, 2 * B, 97).astype(dtype)
    for free in (0.0, 0.7):  # equal logits of the bins
        unconstrained = np.zeros([3 * NUM_BINS - 1, len(x)], dtype)
        unconstrained[: 2 * NUM_BINS] = free
        knots = splines.unpack(tf.constant(unconstrained), NUM_BINS, B)
        for function in (splines.forward, splines.inverse):
            y, log_slope = function(tf.constant(x), knots)
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(y, x, rtol=0, atol=8 * B * eps)
            np.testing.assert_allclose(
                log_slope, np.zeros_like(x), atol=16 * NUM_BINS * eps
            )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_knots_lie_as_declared(dtype):
    for case, scale in SCALES.items():
        knots = _knots(scale, 500, dtype)
        for positions in (knots.x, knots.y):
            np.testing.assert_array_equal(positions[0], np.full(500, -B))
            np.testing.assert_array_equal(positions[-1], np.full(500, B))
            least = np.diff(positions, axis=0).min() * NUM_BINS / (2 * B)
            assert least > 0.97 * splines.MIN_BIN, case
        slopes = np.asarray(knots.slopes)
        np.testing.assert_array_equal(slopes[[0, -1]], np.ones([2, 500]))
        assert slopes.min() >= splines.MIN_SLOPE
        # Through the knots, with the slopes of both sides.
        for k in range(NUM_BINS + 1):
            y, log_slope = splines.forward(knots.x[k], knots)
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(y, knots.y[k], atol=4 * B * eps)
            np.testing.assert_allclose(
                np.exp(log_slope), slopes[k], rtol=50 * eps
            )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", SCALES)
def test_residual_of_the_inverse_is_within_rounding(case, dtype, jit_compile):
    y, knots = _points(3_000, dtype), _knots(SCALES[case], 3_000, dtype)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def residual(y, knots):
        x, log_slope = splines.inverse(y, knots)
        again, again_log_slope = splines.forward(x, knots)
        return again - y, log_slope + again_log_slope, x

    error, log_error, x = residual(tf.constant(y), knots)
    slope = np.exp(splines.forward(x, knots)[1])
    eps = np.finfo(dtype).eps
    limit = MAX_ERROR_IN_EPS * eps * B * np.maximum(1, slope)
    assert (np.abs(error) <= limit).all()
    np.testing.assert_allclose(log_error, np.zeros_like(y), atol=100 * eps)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_finite_at_knots_at_the_bounds_and_far_outside(
    dtype, jit_compile
):
    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(x, free):
        results = []
        for function in (splines.forward, splines.inverse):
            with tf.GradientTape() as tape:
                tape.watch([x, free])
                knots = splines.unpack(free, NUM_BINS, B)
                y, log_slope = function(x, knots)
                total = tf.reduce_sum(y + log_slope)
            results += [y, log_slope, *tape.gradient(total, [x, free])]
        return results

    for case, scale in SCALES.items():
        free = _free(scale, 1, dtype)
        at = splines.unpack(free, NUM_BINS, B)
        special = np.array(
            [B, -B, np.nextafter(B, 9), np.nextafter(-B, 9), 1e4, -1e30, 0],
            dtype,
        )
        x = np.concatenate([at.x[:, 0], at.y[:, 0], special])
        for result in run(tf.constant(x[:, np.newaxis]), free):
            assert np.isfinite(result).all(), case


def test_outside_is_the_identity_of_slope_one():
    knots = _knots(3.0, 4)
    for point in (B, -B, 1e4, -1e4):
        x = tf.fill([4], tf.constant(point, tf.float64))
        for function in (splines.forward, splines.inverse):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y, log_slope = function(x, knots)
            np.testing.assert_array_equal(y, x)
            np.testing.assert_array_equal(log_slope, np.zeros(4))
            np.testing.assert_array_equal(tape.gradient(y, x), np.ones(4))


@pytest.mark.parametrize("name", ["forward", "inverse"])
def test_first_and_second_derivatives_match_differences(name):
    """To the points and all parameters together, along random lines."""
    function = getattr(splines, name)
    free = _free(1.0, 40, np.float64)
    points = tf.constant(0.9 * _points(40))
    rng = np.random.default_rng(5)
    to_points = tf.constant(rng.normal(size=40))
    to_free = tf.constant(rng.normal(size=free.shape))

    def total(t):
        knots = splines.unpack(free + t * to_free, NUM_BINS, B)
        value, log_slope = function(points + t * to_points, knots)
        return value + 0.7 * log_slope

    t = tf.zeros([40], tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(t)
        with tf.GradientTape() as inner:
            inner.watch(t)
            value = total(t)
        first = inner.gradient(value, t)
    second = outer.gradient(first, t)
    h = 1e-5
    by_first = (total(t + h) - total(t - h)) / (2 * h)
    # The log-slope of a spline has kinks at its knots, but none so near.
    np.testing.assert_allclose(first, by_first, rtol=1e-6, atol=1e-6)
    h = 1e-4
    by_second = (total(t + h) - 2 * value + total(t - h)) / h**2
    np.testing.assert_allclose(second, by_second, rtol=1e-4, atol=1e-4)


def test_parameters_broadcast_against_points():
    rng = np.random.default_rng(0)
    free = tf.constant(rng.normal(size=[4, 1, 3 * NUM_BINS - 1, 2]))
    knots = splines.unpack(free, NUM_BINS, B)
    x = tf.constant(rng.normal(size=[6, 1, 5, 2]))
    for function in (splines.forward, splines.inverse):
        y, log_slope = function(x, knots)
        assert y.shape == log_slope.shape == (6, 4, 5, 2)
        one = splines.unpack(free[1, 0], NUM_BINS, B)
        same, _ = function(x[2, 0, 3], one)
        np.testing.assert_allclose(y[2, 1, 3], same, rtol=1e-13)
