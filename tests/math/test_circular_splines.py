"""Circles: whole turns, curves that join themselves, both kinds together."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import circles, circular_splines, splines

B = np.pi
NUM_BINS = 5
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def _free(num_points, dtype=np.float64, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    size = [3 * NUM_BINS + circular_splines.NUM_PHASES, num_points]
    return tf.constant((scale * rng.normal(size=size)).astype(dtype))


def _curve(num_points, dtype=np.float64, phases=None, **keywords):
    free = _free(num_points, dtype, **keywords)
    if phases is not None:
        phases = np.broadcast_to(np.reshape(phases, [2, 1]), [2, num_points])
        free = tf.concat([free[: 3 * NUM_BINS], phases], axis=0)
    return circular_splines.unpack(free, NUM_BINS, B)


def _apart(x, y):
    """How far from one another on the circle."""
    turns = (np.asarray(x, np.float64) - y) / (2 * B)
    return 2 * B * np.abs(turns - np.round(turns))


@pytest.mark.parametrize("jit_compile", [False, True])
@DTYPES
def test_whole_turns_are_taken_off(dtype, jit_compile):
    bound = dtype(B)
    below = np.nextafter(bound, dtype(0))
    tiny = np.finfo(dtype).smallest_subnormal
    inside = [-bound, -1e-12, -tiny, 0, tiny, 1e-12, 0.1, below]
    x = np.array(inside, dtype)
    wrap = tf.function(circles.wrap, jit_compile=jit_compile)
    np.testing.assert_array_equal(wrap(x, B), x)
    edges = [bound, np.nextafter(-bound, dtype(-9)), -2 * bound - tiny, 1e4]
    far = np.array([*edges, *edges[::-1], 1e30, -1e30, 3 * bound], dtype)
    wrapped = wrap(far, B).numpy()
    assert ((wrapped >= -bound) & (wrapped < bound)).all()
    eps = np.finfo(dtype).eps
    turn = 2 * np.float64(bound)
    for turns in (-50, -1, 1, 50):
        moved = (x + turns * turn).astype(dtype)
        error = (wrap(moved, B) - x) / turn
        assert np.abs(error - np.round(error)).max() < 60 * eps
    with tf.GradientTape() as tape:
        points = tf.constant(np.concatenate([x, far]))
        tape.watch(points)
        wrapped = wrap(points, B)
    np.testing.assert_array_equal(tape.gradient(wrapped, points), 1)


@DTYPES
def test_zeros_are_the_identity(dtype):
    x = np.linspace(-B, B, 101, endpoint=False).astype(dtype)
    eps = np.finfo(dtype).eps
    curve = circular_splines.unpack(
        tf.zeros([3 * NUM_BINS + 2, len(x)], dtype), NUM_BINS, B
    )
    for function in (circular_splines.forward, circular_splines.inverse):
        y, log_slope = function(tf.constant(x), curve, B)
        assert _apart(y, x).max() <= 8 * B * eps
        assert np.abs(log_slope).max() <= 16 * NUM_BINS * eps


@pytest.mark.parametrize("phases", [(0.0, 0.0), (2.0, -3.0), (40.0, 7.0)])
@DTYPES
def test_the_curve_joins_itself_without_a_kink(dtype, phases):
    """Value up to a turn, slope, and the derivatives that are computed."""
    curve = _curve(200, dtype, phases=phases)
    start, bound = curve.start, dtype(B)
    before = circles.wrap(np.nextafter(-bound, dtype(-9)) + start, B)
    after = circles.wrap(-bound + start, B)
    results = []
    for x in (before, after):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y, log_slope = circular_splines.forward(x, curve, B)
        slope = tape.gradient(y, x)
        np.testing.assert_allclose(tf.math.log(slope), log_slope, atol=1e-4)
        results.append((y, log_slope))
    (y, log_slope), (same_y, same_log_slope) = results
    eps, steepest = np.finfo(dtype).eps, np.exp(np.max(log_slope))
    assert _apart(y, same_y).max() < 100 * eps * steepest
    np.testing.assert_allclose(log_slope, same_log_slope, atol=3e4 * eps)
    np.testing.assert_allclose(
        same_log_slope, tf.math.log(curve.slopes[0]), atol=3e4 * eps
    )
    np.testing.assert_array_equal(curve.slopes[0], curve.slopes[-1])


def test_phases_rotate_points_and_images():
    x = np.linspace(-B, B, 300, endpoint=False)
    start, image = 2.2, -1.3
    plain = _curve(300, phases=(0, 0))
    turned = _curve(300, phases=(start, image))
    y, log_slope = circular_splines.forward(x - start, plain, B)
    found, found_log_slope = circular_splines.forward(x, turned, B)
    assert _apart(found, y + image).max() < 1e-12
    np.testing.assert_allclose(found_log_slope, log_slope, atol=1e-10)


@pytest.mark.parametrize("jit_compile", [False, True])
@DTYPES
def test_round_trips_stay_on_the_circle(dtype, jit_compile):
    """In `[-B, B)` of the dtype, next to the seam on both sides too."""
    curve = _curve(400, dtype, scale=2.0)
    rng = np.random.default_rng(3)
    x = rng.uniform(-B, B, size=[5, 400]).astype(dtype)
    x[0], x[1] = -dtype(B), np.nextafter(dtype(B), dtype(0))
    x[2] = curve.start - dtype(B)  # the first knot

    def call(x):
        y, log_slope = circular_splines.forward(x, curve, B)
        return y, log_slope, circular_splines.inverse(y, curve, B)[0]

    call = tf.function(call, jit_compile=jit_compile, autograph=False)
    y, log_slope, back = map(np.asarray, call(x))
    for points in (y, back):
        assert ((points >= -dtype(B)) & (points < dtype(B))).all()
    # A rounding of y moves x by that over the slope.
    eps = np.finfo(dtype).eps
    reach = 1 + np.exp(-log_slope.astype(np.float64))
    assert (_apart(back, x) <= 30 * B * eps * reach).all()
    one = circular_splines.root(y, curve, B)
    assert (_apart(one, back) <= 30 * B * eps * reach).all()


def test_slopes_average_to_one_turn():
    num = 20_000
    x = tf.constant(np.linspace(-B, B, num, endpoint=False)[:, np.newaxis])
    curve = _curve(7)
    for function in (circular_splines.forward, circular_splines.inverse):
        log_slope = function(x + np.zeros(7), curve, B)[1]
        mean = np.exp(log_slope).mean(axis=0)
        np.testing.assert_allclose(mean, np.ones(7), atol=1e-4)


def test_lines_beside_circles_keep_their_tails():
    """Of the same parameters they read no phase, and end with slope 1."""
    size, tail_bound = 6, 2.5
    is_circular = tf.constant([True, False, True, True, False, False])
    free = _free(size)
    mixed = circular_splines.unpack(free, NUM_BINS, B, is_circular, tail_bound)
    rng = np.random.default_rng(4)
    x = tf.constant(rng.uniform(-2 * B, 2 * B, size=[50, size]))
    circular = circular_splines.unpack(free, NUM_BINS, B)
    slopes = free[2 * NUM_BINS + 1 : 3 * NUM_BINS]
    line = splines.knots(
        free[:NUM_BINS], free[NUM_BINS : 2 * NUM_BINS], slopes, tail_bound
    )
    for name in ("forward", "inverse"):
        found = getattr(circular_splines, name)(x, mixed, B, is_circular)
        on_circles = getattr(circular_splines, name)(x, circular, B)
        on_lines = getattr(splines, name)(x, line)
        for value, ring, straight in zip(
            found, on_circles, on_lines, strict=True
        ):
            expected = np.where(is_circular, ring, straight)
            np.testing.assert_allclose(value, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["forward", "inverse"])
def test_second_derivatives_are_those_of_differences(name):
    """Of value and log-slope, at points off the knots, around the seam."""
    curve, step = _curve(60, seed=5), 1e-5
    function = getattr(circular_splines, name)
    x = tf.constant(np.linspace(-B, B, 60, endpoint=False) + 1e-3)

    def first(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_slope = function(x, curve, B)
            total = tf.reduce_sum(y + 0.5 * log_slope)
        return tape.gradient(total, x)

    with tf.GradientTape() as tape:
        tape.watch(x)
        gradient = first(x)
    second = tape.gradient(gradient, x)
    expected = (first(x + step) - first(x - step)) / (2 * step)
    is_smooth = np.abs(first(x + step) - first(x - step)) < 0.1
    assert is_smooth.mean() > 0.8
    np.testing.assert_allclose(
        np.asarray(second)[is_smooth],
        np.asarray(expected)[is_smooth],
        rtol=1e-3,
        atol=1e-4,
    )
