"""What is particular to SLog; the conformance kit tests the rest."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows.bijectors import CircularConvolution, Scan, SLog

tfb = tfp.bijectors
tfd = tfp.distributions

SLOPES = np.array([1e-12, 1e-9, 1e-4, 0.03, 0.7, 5.0, 300.0])
POINTS = np.array([1e-12, 1e-5, 0.01, 0.3, 0.36, 1.0, 20.0, 1e4])


def _inverse_softplus(a):
    return np.log(np.expm1(a))


def _exact(function, *args):
    """`function` in 60 digits, at all pairs of two arrays."""
    with mpmath.workdps(60):
        values = [
            [float(function(mpmath.mpf(p), mpmath.mpf(q))) for q in args[1]]
            for p in args[0]
        ]
    return np.array(values)


def test_a_value_computed_by_hand():
    # a = 2: y = log(1 + 2 * 3) / 2 at 3, and the same below 0.
    s_log = SLog(np.full(3, _inverse_softplus(2.0)))
    x = np.array([3.0, -3.0, 0.0])
    y = np.log(7.0) / 2
    np.testing.assert_allclose(s_log.forward(x), [y, -y, 0.0], rtol=1e-15)
    np.testing.assert_allclose(
        s_log.forward_log_det_jacobian(x, 1), -2 * np.log(7.0), rtol=1e-15
    )
    np.testing.assert_allclose(s_log.inverse([y, -y, 0.0]), x, rtol=1e-15)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_derivatives_are_right_to_rounding(dtype, compiled):
    """Relative to each value, for slopes that go to 0 too."""
    slopes, points = SLOPES.astype(dtype), POINTS.astype(dtype)
    slope, x = (v.ravel() for v in np.meshgrid(slopes, points, indexing="ij"))

    def run(point, slope):
        """Value and derivatives, both ways, at one-dimensional events."""
        results = []
        for function in (math.s_log.forward, math.s_log.inverse):
            with tf.GradientTape() as tape:
                tape.watch([point, slope])
                image, log_det = function(
                    point[:, tf.newaxis], slope[:, tf.newaxis]
                )
            results.append(
                [image[:, 0], log_det, *tape.gradient(image, [point, slope])]
            )
        return results

    run = tf.function(run, autograph=False, jit_compile=compiled)
    shape = len(slopes), len(points)
    forward, inverse = tf.nest.map_structure(
        lambda v: v.numpy().reshape(shape),
        run(tf.constant(x), tf.constant(slope)),
    )
    eps = np.finfo(dtype).eps
    given = slopes.astype(np.float64), points.astype(np.float64)

    expected = [
        _exact(lambda a, x: mpmath.log1p(a * x) / a, *given),
        _exact(lambda a, x: -mpmath.log1p(a * x), *given),
        _exact(lambda a, x: 1 / (1 + a * x), *given),
        _exact(
            lambda a, x: (a * x / (1 + a * x) - mpmath.log1p(a * x)) / a**2,
            *given,
        ),
    ]
    for found, wanted in zip(forward, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=16 * eps, atol=0)

    curved = given[0][:, np.newaxis] * given[1] < 15.9
    expected = [
        _exact(lambda a, y: mpmath.expm1(a * y) / a, *given),
        _exact(lambda a, y: a * y, *given),
        _exact(lambda a, y: mpmath.exp(a * y), *given),
        _exact(
            lambda a, y: (
                (a * y * mpmath.exp(a * y) - mpmath.expm1(a * y)) / a**2
                if a * y < 700
                else 0
            ),
            *given,
        ),
    ]
    for found, wanted in zip(inverse, expected, strict=True):
        # An exponential multiplies the rounding of its argument, up to 16.
        np.testing.assert_allclose(
            found[curved], wanted[curved], rtol=64 * eps, atol=0
        )


def test_the_log_derivative_is_minus_a_times_the_image():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=5)
    x = tf.constant(10 * rng.normal(size=[6, 5]))
    s_log = SLog(raw)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = s_log.forward(x)
    log_derivative = np.log(tape.gradient(y, x))
    expected = -np.log1p(np.exp(raw)) * np.abs(y)
    np.testing.assert_allclose(log_derivative, expected, rtol=1e-13)
    np.testing.assert_allclose(
        s_log.forward_log_det_jacobian(x, 1), expected.sum(-1), rtol=1e-13
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_at_zero_the_slope_is_one(dtype):
    raw = tf.constant(np.array([-1e4, -20.0, 0.0, 3.0, 1e4]), dtype)
    for direction in ("forward", "inverse"):
        x = tf.zeros([5], dtype)
        with tf.GradientTape(persistent=True) as second:
            second.watch([x, raw])
            with tf.GradientTape() as first:
                first.watch([x, raw])
                s_log = SLog(raw)
                y = getattr(s_log, direction)(x)
                log_det = getattr(s_log, f"{direction}_log_det_jacobian")(x, 1)
                loss = tf.reduce_sum(y) + log_det
            slopes = first.gradient(loss, [x, raw])
        np.testing.assert_array_equal(y, np.zeros(5))
        np.testing.assert_array_equal(log_det, 0.0)
        np.testing.assert_array_equal(slopes[0], np.ones(5))
        np.testing.assert_array_equal(slopes[1], np.zeros(5))
        for value in slopes:
            for gradient in second.gradient(value, [x, raw]):
                np.testing.assert_array_equal(gradient, np.zeros(5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("raw", [-1e4, -90.0, -50.0])
def test_a_vanishing_slope_gives_the_identity(dtype, raw):
    x = tf.constant(np.array([-1e4, -1.0, 1e-30, 0.3, 100.0]), dtype)
    s_log = SLog(np.full(5, raw, dtype))
    for direction in ("forward", "inverse"):
        np.testing.assert_allclose(
            getattr(s_log, direction)(x), x, rtol=2 * np.finfo(dtype).eps
        )
    # dy/da at a = 0 is -x |x| / 2.
    slope = tf.fill([5], tf.constant(1e-30, dtype))
    with tf.GradientTape() as tape:
        tape.watch(slope)
        y, _ = math.s_log.forward(x, slope)
    np.testing.assert_allclose(
        tape.gradient(y, slope), -x * np.abs(x) / 2, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("dtype", "num_members", "compiled"),
    [
        (np.float32, 1, False),
        (np.float64, 1, False),
        (np.float32, 4, False),
        (np.float64, 4, False),
        (np.float32, 4, True),
    ],
)
def test_the_inverse_is_finite_and_exact_far_out(dtype, num_members, compiled):
    """exp(1e4) is no number; members in a row multiply what there is."""
    raw = np.linspace(-3.0, 6.0, 10).astype(dtype)
    sizes = np.array([1.0, 30.0, 88.0, 200.0, 800.0, 1e4, -1e4, -1e6])
    y = np.broadcast_to(sizes[:, np.newaxis], [8, 10]).astype(dtype)

    def run(y, raw):
        with tf.GradientTape() as tape:
            tape.watch([y, raw])
            flow = Scan(SLog(raw))
            x = flow.inverse(y)
            ildj = flow.inverse_log_det_jacobian(y, 1)
        gradients = tape.gradient([x, ildj], [y, raw])
        return x, ildj, gradients, Scan(SLog(raw)).forward(tf.identity(x))

    run = tf.function(run, autograph=False, jit_compile=compiled)
    x, ildj, gradients, forth = run(
        tf.constant(y), tf.constant(np.stack([raw] * num_members))
    )
    assert np.isfinite(x).all()
    assert np.isfinite(ildj).all()
    assert all(np.isfinite(g).all() for g in gradients)
    np.testing.assert_allclose(forth, y, rtol=100 * np.finfo(dtype).eps)


def test_the_straight_continuation_is_the_documented_one():
    m = math.s_log.MAX_EXPONENT
    a = 0.5
    slope = tf.fill([3], tf.constant(a, tf.float64))
    # The join, and two points on the straight part.
    x = np.array([np.expm1(m), 2e7, 1e9]) / a
    with tf.GradientTape() as tape:
        points = tf.constant(x)
        tape.watch(points)
        y, log_det = math.s_log.forward(points, slope)
    expected = (m + (a * x + 1) * np.exp(-m) - 1) / a
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    np.testing.assert_allclose(y[0], np.log1p(a * x[0]) / a, rtol=1e-14)
    np.testing.assert_allclose(tape.gradient(y, points), np.exp([-m] * 3))
    np.testing.assert_allclose(log_det, -3 * m, rtol=1e-14)
    # Where the curve ends is a setting, up to what the dtype allows.
    curve = SLog(np.array([_inverse_softplus(a)]), max_exponent=600.0)
    assert curve.max_exponent == 600.0
    with mpmath.workdps(30):
        exact = float(mpmath.expm1(500) / a)
    found = curve.inverse(np.array([1000.0]))
    np.testing.assert_allclose(found, exact, rtol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("mode", ["eager", "xla"])
def test_second_derivatives_are_right(direction, mode):
    """Against differences of the first, on the curve and on the line."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=40) * np.resize([0.1, 1.0, 10.0, 100.0], 40)
    a = np.exp(rng.normal(size=40))
    function = getattr(math.s_log, direction)

    def first(x, a):
        with tf.GradientTape() as tape:
            tape.watch([x, a])
            y, _ = function(x, a, 6.0)
        return tape.gradient(y, [x, a])

    def second(x, a):
        results = []
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, a])
            gradients = first(x, a)
        for gradient in gradients:
            results.append(tape.gradient(gradient, [x, a]))
        return results

    if mode != "eager":
        second = tf.function(second, jit_compile=mode == "xla", autograph=False)
    found = np.array(second(tf.constant(x), tf.constant(a)))
    assert np.isfinite(found).all()
    for i, (x_step, a_step) in enumerate([(1e-6, 0.0), (0.0, 1e-6)]):
        up, down = (
            np.array(
                first(tf.constant(x + s * x_step), tf.constant(a + s * a_step))
            )
            for s in (1, -1)
        )
        expected = (up - down) / 2e-6
        scale = 1.0 + np.abs(expected) + np.abs(up) + np.abs(up[1])
        assert (np.abs(found[:, i] - expected) <= 1e-6 * scale).all()


def test_the_density_integrates_to_one():
    """With kinks as sharp as they come, a = 5, on a fine grid."""
    q = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(np.zeros(1), np.ones(1)),
        SLog(np.array([_inverse_softplus(5.0)])),
    )
    y = np.linspace(-2.0, 2.0, 40_001)
    density = np.exp(q.log_prob(y[:, np.newaxis]))
    np.testing.assert_allclose(np.trapezoid(density, y), 1.0, atol=1e-7)


def test_make_trainable_starts_near_the_identity():
    trained = tfp.experimental.util.make_trainable(
        SLog, batch_and_event_shape=[2, 1000], seed=(1, 2)
    )
    (variable,) = trained.trainable_variables
    assert variable.shape == [2, 1000]
    np.testing.assert_allclose(
        np.mean(trained.unconstrained_slope), -2.0, atol=0.2
    )


def test_an_event_of_higher_rank_in_a_chain():
    """Slopes of an image `[H, W]`, rolled, are summed over all of it."""
    rng = np.random.default_rng(0)
    raw, spectrum = rng.normal(size=[3, 4, 5]), rng.normal(size=[3, 4, 5])
    x = tf.constant(rng.normal(size=[7, 4, 5]))
    flow = Scan(tfb.Chain([SLog(raw), CircularConvolution(spectrum)]))
    sums = flow.forward_log_det_jacobian(x, event_ndims=2)
    assert sums.shape == [7]
    each = Scan(
        tfb.Chain([SLog(raw), CircularConvolution(spectrum)])
    ).forward_log_det_jacobian(tf.identity(x), event_ndims=1)
    np.testing.assert_allclose(sums, np.sum(each, axis=-1), rtol=1e-12)


BAD_ARGUMENTS = {
    "scalar": (
        (1.0,),
        {},
        ValueError,
        r"`unconstrained_slope` must have shape \[\.\.\., D\].*; got \(\)",
    ),
    "no dimensions": (
        (np.zeros(0),),
        {},
        ValueError,
        r"`unconstrained_slope` must .* with D >= 1; got \(0,\)",
    ),
    "integers": (
        (np.zeros(2, int),),
        {},
        TypeError,
        "`unconstrained_slope` must be float32 or float64.*; got int64",
    ),
    "exponent 0": (
        ([1.0],),
        {"max_exponent": 0.0},
        ValueError,
        "`max_exponent` must be positive and finite; got 0.0",
    ),
    "infinite exponent": (
        ([1.0],),
        {"max_exponent": np.inf},
        ValueError,
        "`max_exponent` must be positive and finite; got inf",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case):
    args, kwargs, error, message = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=message):
        SLog(*args, **kwargs)


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size_are_refused(method):
    """Also size 1, which would broadcast silently."""
    name = "x" if method == "forward" else "y"
    for shape in ([3], [4, 1], []):
        message = rf"`{name}` must have shape \[\.\.\., 2\] for SLog; got"
        with pytest.raises(ValueError, match=message):
            getattr(SLog([1.0, 2.0]), method)(tf.zeros(shape))
