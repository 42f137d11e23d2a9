"""The scalar root search behind the inverse of planar flows."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import root_finding, tracing

# The issue of the inverse: residual over eps times the largest term.
MAX_RESIDUAL_IN_EPS = 8.0
WIDER = {np.float32: np.float64, np.float64: np.longdouble}
N = 20_000


def _cases(dtype):
    """(q, t) over all scales of the dtype without underflow in s."""
    rng = np.random.default_rng(0)
    top = 18 if dtype == np.float32 else 140
    yield (
        "wide rising",
        1 + 10 ** rng.uniform(-top, top, N),
        10 ** (rng.uniform(-top, top, N)),
    )
    c = 10 ** rng.uniform(-3, 10, N)
    yield "t near c", 1 + c, c * (1 + 0.1 * rng.normal(size=N))
    yield (
        "falling",
        10 ** rng.uniform(-2 * top, 0, N),
        10 ** rng.uniform(-top, 3, N),
    )
    yield "moderate", 10 ** rng.uniform(-3, 3, N), rng.normal(size=N) * 10
    yield "edge", np.array([1, 1, 0.5, 6, 1e-30]), np.array([0, 1e4, 0, 0, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_residual_is_within_rounding(dtype, jit_compile):
    _check_residuals(dtype, jit_compile)


@pytest.mark.parametrize("fewer", [2, 3])  # no cycle of two points
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bound_on_the_steps_has_room_to_spare(monkeypatch, dtype, fewer):
    most = root_finding.MAX_STEPS
    monkeypatch.setattr(root_finding, "MAX_STEPS", most - fewer)
    _check_residuals(dtype, jit_compile=True)


def test_too_few_steps_do_not_pass(monkeypatch):
    monkeypatch.setattr(root_finding, "MAX_STEPS", 3)
    with pytest.raises(AssertionError):
        _check_residuals(np.float64, jit_compile=True)


def _check_residuals(dtype, jit_compile):
    @tf.function(jit_compile=jit_compile)
    def solve(c, q, t):
        return root_finding.tanh_root(c, q, t)

    wide = WIDER[dtype]
    for name, q, t in _cases(dtype):
        q, t = q.astype(dtype), t.astype(dtype)
        c = q - 1
        s = solve(c, q, t).numpy()
        assert np.isfinite(s).all(), name
        s, c, t = s.astype(wide), c.astype(wide), t.astype(wide)
        terms = np.abs([s, c * np.tanh(s), t])
        residual = np.abs(s + c * np.tanh(s) - t)
        # Below the smallest normal number there is no relative precision.
        floor = 1e3 * np.finfo(dtype).tiny
        limit = MAX_RESIDUAL_IN_EPS * np.finfo(dtype).eps * terms.max(axis=0)
        assert (residual <= np.maximum(limit, floor)).all(), name


def test_root_is_odd_and_broadcasts():
    c = tf.constant([[-0.9], [0.0], [5.0]], tf.float64)
    t = tf.constant([-3.0, -0.1, 0.0, 0.1, 3.0], tf.float64)
    s = root_finding.tanh_root(c, 1 + c, t).numpy()
    assert s.shape == (3, 5)
    np.testing.assert_allclose(s, -s[:, ::-1], rtol=1e-15)
    np.testing.assert_allclose(s[1], t, rtol=1e-15)


def test_gradients_are_those_of_the_implicit_function():
    c = tf.constant([-0.99, -0.5, 0.3, 40.0], tf.float64)
    t = tf.constant([0.3, -1.0, 0.2, 39.0], tf.float64)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch([c, t])
        with tf.GradientTape() as inner:
            inner.watch([c, t])
            s = root_finding.tanh_root(c, 1 + c, t)
        ds_dc, ds_dt = inner.gradient(s, [c, t])
    h = tf.tanh(s)
    slope = 1 + c * (1 - h**2)
    np.testing.assert_allclose(ds_dt, 1 / slope, rtol=1e-12)
    np.testing.assert_allclose(ds_dc, -h / slope, rtol=1e-12)
    # d2s/dt2 = -f'' / f'**3 with f'' = -2 c h (1 - h**2).
    second = 2 * c * h * (1 - h**2) / slope**3
    np.testing.assert_allclose(outer.gradient(ds_dt, t), second, rtol=1e-9)


# name -> (value and slope at a distance from the root, half the width of the
# bracket). Newton's method alone runs away from the root of the first, is slow
# on the second, jumps about the third, and knows no slope of the fourth.
INCREASING = {
    "flat ends": (lambda d: (tf.atan(d), 1 / (1 + d**2)), 1e4),
    "flat middle": (lambda d: (d**3, 3 * d**2), 1e3),
    "steep middle": (
        lambda d: (
            tf.sign(d) * tf.abs(d) ** (1 / 3),
            tf.abs(d) ** (-2 / 3) / 3,
        ),
        1e3,
    ),
    "a step": (lambda d: (tf.tanh(1e4 * d), tf.zeros_like(d)), 1e2),
    "straight": (lambda d: (2 * d, tf.fill(tf.shape(d), 2.0)), 1e4),
}


def _monotone_roots(mode, dtype):
    """Roots found, their places, and the names, one row per function."""
    rng = np.random.default_rng(0)
    expected, found = [], []
    for function, width in INCREASING.values():
        root = rng.normal(size=500).astype(dtype)
        low = root - width * rng.uniform(size=500).astype(dtype)
        high = root + width * rng.uniform(size=500).astype(dtype)

        def solve(root, low, high, function=function):
            def value_and_slope(x):
                value, slope = function(x - root)
                return value, tf.cast(slope, x.dtype)

            return root_finding.monotone_root(value_and_slope, low, high)

        if mode == "vectorized":
            body = solve

            def solve(*columns, body=body):
                return tf.vectorized_map(lambda a: body(*a), columns)

        if mode != "eager":
            solve = tf.function(
                solve, jit_compile=mode != "graph", autograph=False
            )
        found.append(solve(*map(tf.constant, (root, low, high))).numpy())
        expected.append(root)
    return np.array(found), np.array(expected)


def _check_monotone_roots(mode, dtype):
    found, expected = _monotone_roots(mode, dtype)
    eps = np.finfo(dtype).eps
    for name, x, root in zip(INCREASING, found, expected, strict=True):
        assert np.isfinite(x).all(), name
        # Of a triple root only a third of the digits show in the value.
        limit = 1e-6 if name == "flat middle" else 4 * eps
        assert (np.abs(x - root) <= limit * (1 + np.abs(root))).all(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["eager", "graph", "xla", "vectorized"])
def test_monotone_root_finds_the_root_of_any_increasing_function(mode, dtype):
    _check_monotone_roots(mode, dtype)


def test_too_few_steps_of_a_monotone_search_do_not_pass(monkeypatch):
    monkeypatch.setattr(root_finding, "MAX_MONOTONE_STEPS", 30)
    with pytest.raises(AssertionError):
        _check_monotone_roots("graph", np.float64)


def test_a_search_ends_where_all_roots_are_found():
    counts = []

    def function(x):
        counts.append(1)
        return x - 3.0, tf.ones_like(x)

    low, high = tf.constant([-10.0, 2.0]), tf.constant([20.0, 3.5])
    x = root_finding.monotone_root(function, low, high)
    np.testing.assert_array_equal(x, [3.0, 3.0])
    assert len(counts) <= 3
    # A bracket of one point; a tolerance that the first point meets.
    x = root_finding.monotone_root(function, low * 0 + 3, low * 0 + 3)
    np.testing.assert_array_equal(x, [3.0, 3.0])
    counts.clear()
    root_finding.monotone_root(function, low, high, tolerance=5.0)
    assert len(counts) == 1


@pytest.mark.parametrize("jit_compile", [False, True])
def test_only_what_is_compiled_and_vectorized_counts(jit_compile):
    """Also inside the loops and the gradients of a vectorized map."""
    found = {}

    def note(key):
        found[key] = tracing.counts_only()

    def one(x):
        def body(k, x):
            note("loop in vectorized")
            return k + 1, x * x

        @tf.custom_gradient
        def identity(x):
            def gradient(bar):
                note("gradient in vectorized")
                return bar

            return tf.identity(x), gradient

        note("vectorized")
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, y = tf.while_loop(lambda k, _: k < 2, body, (0, identity(x)))
        return tape.gradient(y, x)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(x):
        note("plain")
        return tf.vectorized_map(one, x)

    run.get_concrete_function(tf.ones([3]))  # traced, not compiled
    note("eager")
    assert found.pop("plain") is found.pop("eager") is False
    assert len(found) == 3
    assert all(counts is jit_compile for counts in found.values())
