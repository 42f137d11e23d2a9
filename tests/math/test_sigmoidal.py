"""Mixtures of sigmoids between logits: values, inverse, gradients."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import root_finding, sigmoidal

# Errors over eps times what rounding the arguments of all units explains.
MAX_ERROR_IN_EPS = 8.0
WIDER = {np.float32: np.float64, np.float64: np.longdouble}

# name -> (H, scales of weights, slopes, offsets, points), before constraints.
CASES = {
    "moderate": (5, 1, 1, 1, 3),
    "steep": (6, 3, 5, 3, 3),
    "far": (6, 3, 3, 10, 1e4),
    "flat parts": (4, 3, 3, 300, 300),
}


def _free(case, num_points, dtype, seed=0):
    """Points `[N]` and the free reals `[3 H, N]` of one map for each."""
    h, *scales, scale = CASES[case]
    rng = np.random.default_rng(seed)
    free = rng.normal(size=[3, h, num_points])
    free *= np.reshape(scales, [3, 1, 1])
    x = scale * rng.normal(size=num_points)
    return x.astype(dtype), free.reshape(3 * h, num_points).astype(dtype)


def _units(free):
    (units,) = sigmoidal.unpack(tf.constant(free))
    return units


def _reference(x, units):
    """`(y, log dy/dx)` of single points, and how they react to each c_j."""
    w, a, b = (np.asarray(u, np.float64) for u in units)
    result = []
    with mpmath.workdps(60):
        for i, point in enumerate(np.asarray(x, np.float64)):
            w_i, a_i, b_i = (
                [mpmath.mpf(v) for v in u[:, i]] for u in (w, a, b)
            )
            c = [
                aj * mpmath.mpf(point) + bj
                for aj, bj in zip(a_i, b_i, strict=True)
            ]
            up = [1 / (1 + mpmath.exp(-cj)) for cj in c]
            down = [1 / (1 + mpmath.exp(cj)) for cj in c]
            above = mpmath.fdot(w_i, up)
            below = mpmath.fdot(w_i, down)
            bumps = [wj * u * d for wj, u, d in zip(w_i, up, down, strict=True)]
            slope = mpmath.fdot(a_i, bumps)
            to_above = [v / above for v in bumps]
            to_below = [-v / below for v in bumps]
            to_slope = [
                aj * v * (d - u) / slope
                for aj, v, u, d in zip(a_i, bumps, up, down, strict=True)
            ]
            terms = [
                abs(aj * mpmath.mpf(point)) + abs(bj)
                for aj, bj in zip(a_i, b_i, strict=True)
            ]
            y_terms = sum(
                abs(p - q) * t
                for p, q, t in zip(to_above, to_below, terms, strict=True)
            )
            slope_terms = sum(
                abs(r - p - q) * t
                for r, p, q, t in zip(
                    to_slope, to_above, to_below, terms, strict=True
                )
            )
            y = mpmath.log(above / below)
            log_slope = mpmath.log(slope / (above * below))
            result.append(
                [
                    y,
                    log_slope,
                    1 + abs(y) + y_terms,
                    1 + abs(log_slope) + slope_terms,
                ]
            )
    return np.array(result, np.longdouble).T


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_log_derivative_are_right_to_rounding(dtype, jit_compile):
    forward = tf.function(
        sigmoidal.forward, jit_compile=jit_compile, autograph=False
    )
    for case in CASES:
        x, free = _free(case, 60, dtype)
        units = _units(free)
        y, log_slope = forward(tf.constant(x), units)
        expected_y, expected, y_scale, scale = _reference(x, units)
        limit = MAX_ERROR_IN_EPS * np.finfo(dtype).eps
        assert (np.abs(y - expected_y) <= limit * y_scale).all(), case
        assert (np.abs(log_slope - expected) <= limit * scale).all(), case


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zeros_are_the_identity(dtype):
    x = np.array([0.0, 1e-9, -0.3, 5.0, -100.0, 1e4, -1e30], dtype)
    layers = sigmoidal.unpack(tf.zeros([2 * 3 * 7, len(x)], dtype), 2)
    assert len(layers) == 2
    y, log_slope = sigmoidal.chain_forward(tf.constant(x), layers)
    back, inverse_log_slope = sigmoidal.chain_inverse(tf.constant(x), layers)
    eps = np.finfo(dtype).eps
    for found in (y, back):
        np.testing.assert_allclose(found, x, rtol=4 * eps, atol=4 * eps)
    for found in (log_slope, inverse_log_slope):
        np.testing.assert_allclose(found, np.zeros_like(x), atol=16 * eps)


def test_unpack_takes_weights_then_slopes_then_offsets():
    rng = np.random.default_rng(0)
    free = rng.normal(size=[2, 4, 3, 5, 6])  # batch, layer, kind, H, D
    layers = sigmoidal.unpack(tf.constant(free.reshape(2, 60, 6)), 4)
    for i, (w, a, b) in enumerate(layers):
        e = np.exp(free[:, i, 0])
        np.testing.assert_allclose(w, e / e.sum(1, keepdims=True), atol=1e-7)
        np.testing.assert_allclose(np.sum(w, axis=1), np.ones([2, 6]))
        softplus = np.log1p((np.e - 1) * np.exp(free[:, i, 1]))
        np.testing.assert_allclose(a, 1e-3 + 0.999 * softplus)
        np.testing.assert_array_equal(b, free[:, i, 2])


def test_layers_apply_in_order_and_are_undone_in_reverse():
    x, first = _free("moderate", 20, np.float64)
    _, second = _free("moderate", 20, np.float64, seed=1)
    layers = sigmoidal.unpack(tf.constant(np.concatenate([first, second])), 2)
    middle, log_slope_1 = sigmoidal.forward(tf.constant(x), layers[0])
    y, log_slope_2 = sigmoidal.forward(middle, layers[1])
    found_y, log_slope = sigmoidal.chain_forward(tf.constant(x), layers)
    back, inverse_log_slope = sigmoidal.chain_inverse(found_y, layers)
    np.testing.assert_allclose(found_y, y, rtol=1e-14)
    np.testing.assert_allclose(log_slope, log_slope_1 + log_slope_2)
    np.testing.assert_allclose(back, x, rtol=1e-10)
    np.testing.assert_allclose(inverse_log_slope, -log_slope, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_is_finite_at_the_edges(dtype):
    """Values and gradients at extreme points and free reals, both ways."""
    points = np.array([0, 1e-30, 1, -20, 1e4, -1e4, 1e30, -1e30], dtype)
    rng = np.random.default_rng(0)
    free = rng.normal(size=[3, 4, 6, len(points)])
    # One row each: gentle, zero, and each kind (then all) of size 1e4.
    scales = [[1, 1, 1], [0] * 3, [1e4, 1, 1], [1, 1e4, 1], [1, 1, 1e4]]
    scales.append([1e4] * 3)
    free = free * np.transpose(scales)[:, np.newaxis, :, np.newaxis]
    free = np.moveaxis(free.reshape(12, 6, len(points)), 1, 0).astype(dtype)

    @tf.function(autograph=False)
    def run(x, free):
        results = []
        for function in (sigmoidal.chain_forward, sigmoidal.chain_inverse):
            with tf.GradientTape(persistent=True) as tape:
                tape.watch([x, free])
                values = function(x, sigmoidal.unpack(free))
            results += values
            for value in values:
                results += tape.gradient(value, [x, free])
        return results

    x = np.broadcast_to(points, [6, len(points)])
    for result in run(tf.constant(x), tf.constant(free)):
        assert np.isfinite(result).all()


def _check_inverse(dtype, jit_compile, num_points=500):
    inverse = tf.function(
        sigmoidal.inverse, jit_compile=jit_compile, autograph=False
    )
    wide, eps = WIDER[dtype], np.finfo(dtype).eps
    for case in CASES:
        y, free = _free(case, num_points, dtype)
        units = _units(free)
        x, log_slope = inverse(tf.constant(y), units)
        x = np.asarray(x)
        assert np.isfinite(x).all(), case
        w, a, b = (np.asarray(u, wide) for u in units)
        ax = a * x.astype(wide)
        c = ax + b
        log_above, log_below = (
            _log_mixture(np.log(w), sign * c) for sign in (1, -1)
        )
        residual = np.abs(log_above - log_below - y)
        # What a rounding of a * x and of b amounts to, unit by unit.
        bumps = np.log(w) - np.abs(c) - 2 * np.log1p(np.exp(-np.abs(c)))
        to_c = np.exp(bumps - log_above) + np.exp(bumps - log_below)
        terms = 1 + np.abs(y) + np.sum(to_c * (np.abs(ax) + np.abs(b)), axis=0)
        assert (residual <= MAX_ERROR_IN_EPS * eps * terms).all(), case
        _, forward = sigmoidal.forward(tf.constant(x), units)
        scale = 1 + np.abs(forward) + np.abs(c).max(axis=0)
        assert (np.abs(log_slope + forward) <= 4 * eps * scale).all(), case


def _log_mixture(log_w, c):
    terms = log_w + np.minimum(c, 0) - np.log1p(np.exp(-np.abs(c)))
    top = terms.max(axis=0)
    return top + np.log(np.exp(terms - top).sum(axis=0))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_residual_of_the_inverse_is_within_rounding(dtype, jit_compile):
    _check_inverse(dtype, jit_compile)


def test_too_few_steps_do_not_pass(monkeypatch):
    monkeypatch.setattr(root_finding, "MAX_MONOTONE_STEPS", 8)
    with pytest.raises(AssertionError):
        _check_inverse(np.float64, jit_compile=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", ["moderate", "steep", "far"])
def test_round_trip_is_as_good_as_the_slopes_allow(case, dtype):
    """Where the slope hardly changes over the rounding of the result."""
    x, free = _free(case, 500, dtype)
    units = _units(free)
    y, log_slope = sigmoidal.forward(tf.constant(x), units)
    back, _ = sigmoidal.inverse(y, units)
    w, a, b = map(np.asarray, units)
    terms = 1 + np.abs(y) + (np.abs(a * x) + np.abs(b)).max(axis=0)
    rounding = np.abs(x) + terms * np.exp(-np.asarray(log_slope, float))
    limit = MAX_ERROR_IN_EPS * np.finfo(dtype).eps * rounding
    assert (np.abs(back - x) <= limit).all()


def test_parameters_broadcast_against_points():
    rng = np.random.default_rng(0)
    w, a, b = (rng.normal(size=[*n, 5, 2]) for n in ([4, 1], [3], []))
    units = sigmoidal.constrain(*map(tf.constant, (w, a, b)))
    x = tf.constant(rng.normal(size=[6, 1, 1, 2]))
    y, log_slope = sigmoidal.forward(x, units)
    assert y.shape == log_slope.shape == (6, 4, 3, 2)
    same, _ = sigmoidal.forward(
        x[2, 0, 0], sigmoidal.Units(units.w[1, 0], units.a[2], units.b)
    )
    np.testing.assert_allclose(y[2, 1, 2], same, rtol=1e-14)
    assert sigmoidal.inverse(x, units)[0].shape == (6, 4, 3, 2)


def _derivatives(function, points, free, tangents):
    """First and second derivatives along a line, by reverse over reverse."""

    def run(t):
        moved = [
            p + t * d for p, d in zip((points, free), tangents, strict=True)
        ]
        return function(moved[0], sigmoidal.unpack(moved[1]))

    t = tf.zeros_like(points)
    with tf.GradientTape() as outer:
        outer.watch(t)
        with tf.GradientTape() as inner:
            inner.watch(t)
            value, log_slope = run(t)
            total = value + 0.7 * log_slope
        first = inner.gradient(total, t)
    second = outer.gradient(first, t)
    h = 1e-3
    values = {}
    for k in (-3, -2, -1, 0, 1, 2, 3):
        value, log_slope = run(t + k * h)
        values[k] = (value + 0.7 * log_slope).numpy()
    rule = {1: 45, 2: -9, 3: 1}
    by_first = sum(m * (values[k] - values[-k]) for k, m in rule.items()) / (
        60 * h
    )
    rule = {0: -490 / 2, 1: 270, 2: -27, 3: 2}
    by_second = sum(m * (values[k] + values[-k]) for k, m in rule.items()) / (
        180 * h**2
    )
    return first, second, by_first, by_second


@pytest.mark.parametrize("name", ["forward", "inverse"])
def test_first_and_second_derivatives_match_differences(name):
    """To the points and all parameters together, along random lines."""
    function = getattr(sigmoidal, f"chain_{name}")
    points, free = map(tf.constant, _free("moderate", 40, np.float64))
    rng = np.random.default_rng(5)
    tangents = [tf.constant(rng.normal(size=v.shape)) for v in (points, free)]
    first, second, by_first, by_second = _derivatives(
        function, points, free, tangents
    )
    np.testing.assert_allclose(first, by_first, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(second, by_second, rtol=1e-5, atol=1e-5)


def test_derivatives_are_right_where_units_change_their_branch():
    """At `c_j = 0`, where the formulas for both signs of `c_j` meet."""
    points = tf.zeros([6], tf.float64)
    _, free = _free("moderate", 6, np.float64)
    free[10:] = 0.0  # the offsets
    free = tf.constant(free)
    rng = np.random.default_rng(7)
    tangents = [tf.constant(rng.normal(size=v.shape)) for v in (points, free)]
    first, second, by_first, by_second = _derivatives(
        sigmoidal.chain_forward, points, free, tangents
    )
    np.testing.assert_allclose(first, by_first, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(second, by_second, rtol=1e-5, atol=1e-5)


def test_gradients_of_the_inverse_are_those_of_the_implicit_function():
    y, free = map(tf.constant, _free("steep", 100, np.float64))
    units = _units(free)
    with tf.GradientTape() as tape:
        tape.watch([y, units])
        x, _ = sigmoidal.inverse(y, units)
    to_y, to_units = tape.gradient(x, [y, units])
    with tf.GradientTape() as tape:
        tape.watch(units)
        again, log_slope = sigmoidal.forward(x, units)
    slope = tf.exp(log_slope)
    np.testing.assert_allclose(to_y, 1 / slope, rtol=1e-9)
    for found, partial in zip(
        to_units, tape.gradient(again, units), strict=True
    ):
        np.testing.assert_allclose(found, -partial / slope, rtol=1e-9)


def test_xla_changes_nothing():
    y, free = map(tf.constant, _free("moderate", 50, np.float64))

    def run(y, free):
        results = []
        for function in (sigmoidal.chain_forward, sigmoidal.chain_inverse):
            with tf.GradientTape() as tape:
                tape.watch([y, free])
                value, log_slope = function(y, sigmoidal.unpack(free))
                total = tf.reduce_sum(value**2 + log_slope)
            results += [value, log_slope, *tape.gradient(total, [y, free])]
        return results

    compiled = tf.function(run, jit_compile=True, autograph=False)
    for found, expected in zip(compiled(y, free), run(y, free), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
