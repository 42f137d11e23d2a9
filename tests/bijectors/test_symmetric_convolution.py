"""What is particular to SymmetricConvolution; the kit tests the rest."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows.bijectors import Scan, SLog, SymmetricConvolution

tfb = tfp.bijectors

LENGTHS = [*range(1, 10), 64, 65]
BOUND = math.symmetric.MAX_LOG_MAGNITUDE


def _normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def _dct_matrix(size):
    """Orthonormal DCT-II: rows `cos(pi * (2 i + 1) * n / (2 N))`, scaled."""
    n, i = np.arange(size)[:, np.newaxis], np.arange(size)
    rows = np.cos(np.pi * (2 * i + 1) * n / (2 * size))
    return rows * np.sqrt(np.where(n == 0, 1.0, 2.0) / size)


def _magnitude(a):
    return np.exp(BOUND * np.tanh(a / BOUND))


@pytest.mark.parametrize("size", LENGTHS)
def test_equals_the_dense_matrix(size):
    a, x = _normal(size), _normal(7, size, seed=1)
    transform = _dct_matrix(size)
    np.testing.assert_allclose(
        transform @ transform.T, np.eye(size), atol=1e-13
    )
    matrix = transform.T @ np.diag(_magnitude(a)) @ transform
    flow = SymmetricConvolution(a)
    np.testing.assert_allclose(flow.forward(x), x @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(
        flow.inverse(x), np.linalg.solve(matrix, x.T).T, atol=1e-12
    )
    log_det = np.full(7, np.linalg.slogdet(matrix)[1])
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1), log_det, atol=1e-12
    )
    np.testing.assert_allclose(
        flow.inverse_log_det_jacobian(x, 1), -log_det, atol=1e-12
    )


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_is_a_circular_convolution_of_the_mirrored_signal(size):
    a, x = _normal(size), _normal(size, seed=1)
    g = _magnitude(a)
    # At frequency N the extension has none: any response will do.
    response = np.concatenate([g, [17.0], g[:0:-1]])
    mirrored = np.concatenate([x, x[::-1]])
    convolved = np.fft.ifft(response * np.fft.fft(mirrored)).real
    y = SymmetricConvolution(a).forward(x)
    np.testing.assert_allclose(y, convolved[:size], atol=1e-13)


@pytest.mark.parametrize(
    ("size", "dtype"), [(1, np.float64), (8, np.float64), (65, np.float32)]
)
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_zeros_are_the_identity_exactly(size, dtype, mode):
    def run(a, x):
        flow = SymmetricConvolution(a)
        fldj = flow.forward_log_det_jacobian(x, 1)
        return flow.forward(x), flow.inverse(x), fldj

    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla", autograph=False)
    x = tf.constant(100 * _normal(5, size).astype(dtype))
    y, back, fldj = run(tf.zeros([size], dtype), x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(fldj, np.zeros(5))


def _dense(x, a):
    transform = tf.constant(_dct_matrix(a.shape[-1]))
    log_magnitude = BOUND * tf.tanh(a / BOUND)

    def apply(magnitude):
        transformed = tf.linalg.matvec(transform, x)
        return tf.linalg.matvec(transform, magnitude * transformed, True)

    y, back = apply(tf.exp(log_magnitude)), apply(tf.exp(-log_magnitude))
    log_det = tf.reduce_sum(log_magnitude + tf.zeros_like(y), axis=-1)
    return y, log_det, back


def _ours(x, a):
    magnitude = math.symmetric.response(a)
    y, log_det = math.symmetric.forward(x, *magnitude)
    return y, log_det, math.symmetric.inverse(x, *magnitude)[0]


def _derivatives(function, x, a):
    with tf.GradientTape() as outer:
        outer.watch([x, a])
        with tf.GradientTape() as inner:
            inner.watch([x, a])
            y, log_det, back = function(x, a)
            loss = tf.reduce_sum(tf.sin(y) + tf.cos(2.0 * back))
            loss += tf.reduce_sum(tf.square(log_det) * tf.reduce_sum(y))
        first = inner.gradient(loss, [x, a])
        total = sum(tf.reduce_sum(tf.square(g)) for g in first)
    return [*first, *outer.gradient(total, [x, a])]


@pytest.mark.parametrize(
    ("size", "mode"),
    [
        (1, "eager"),
        (5, "eager"),
        (6, "eager"),
        (5, "xla"),
        pytest.param(5, "graph", marks=pytest.mark.slow),
        pytest.param(1, "xla", marks=pytest.mark.slow),
        pytest.param(6, "xla", marks=pytest.mark.slow),
    ],
)
def test_derivatives_are_right_to_the_second_order(size, mode):
    x, a = tf.constant(_normal(4, 3, size)), tf.constant(_normal(3, size))
    expected = _derivatives(_dense, x, a)

    def run(x, a):
        return _derivatives(_ours, x, a)

    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla", autograph=False)
    tolerances = {tf.float64: 1e-11}
    if mode == "eager":
        tolerances[tf.float32] = 1e-4
    for dtype, tolerance in tolerances.items():
        found = run(tf.cast(x, dtype), tf.cast(a, dtype))
        for value, wanted in zip(found, expected, strict=True):
            assert value.dtype == dtype
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(value, wanted, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_parameters_stay_invertible(dtype):
    a = tf.constant(np.array([1e30, -1e30, 1e4, -1e4, 5.0], dtype))
    flow = SymmetricConvolution(a)
    x = tf.constant(_normal(4, 5).astype(dtype))
    with tf.GradientTape() as tape:
        tape.watch([a, x])
        loss = tf.reduce_sum(SymmetricConvolution(a).inverse(x))
    for gradient in tape.gradient(loss, [a, x]):
        assert np.isfinite(gradient).all()
    y = flow.forward(x)
    np.testing.assert_allclose(
        flow.inverse(tf.identity(y)), x, atol=2e3 * np.finfo(dtype).eps
    )
    norms = np.linalg.norm(y, axis=-1) / np.linalg.norm(x, axis=-1)
    assert (norms < np.exp(BOUND) * 1.001).all()
    assert (norms > np.exp(-BOUND) * 0.999).all()


def test_long_signals_in_float32():
    a, x = _normal(4096), _normal(2, 4096)
    single, double = (
        SymmetricConvolution(a.astype(t)).forward(x.astype(t))
        for t in (np.float32, np.float64)
    )
    np.testing.assert_allclose(single, double, atol=1e-5 * np.abs(double).max())
    back = SymmetricConvolution(a.astype(np.float32)).inverse(
        tf.identity(single)
    )
    np.testing.assert_allclose(back, x, atol=1e-5)


def test_a_bare_stack_is_one_and_s_log_makes_it_more():
    a, x = 0.3 * _normal(3, 6), _normal(50, 6, seed=1)
    y = Scan(SymmetricConvolution(a)).forward(x)
    product = BOUND * np.tanh(a / BOUND).sum(axis=0)
    one = SymmetricConvolution(BOUND * np.arctanh(product / BOUND))
    np.testing.assert_allclose(one.forward(x), y, atol=1e-12)

    chain = tfb.Chain([SLog(_normal(3, 6)), SymmetricConvolution(a)])
    y = Scan(chain).forward(x).numpy()
    matrix = np.linalg.lstsq(x, y, rcond=None)[0]
    assert np.sqrt(np.mean((x @ matrix - y) ** 2)) > 0.1 * np.std(y)


def test_amortized_parameters():
    """`[B, N]`, and `[K, B, N]` in a Scan: one map for each example."""
    a, x = _normal(3, 4, 5), _normal(6, 4, 5, seed=1)
    for flow, own in (
        (SymmetricConvolution(a[0]), lambda b: SymmetricConvolution(a[0, b])),
        (
            Scan(SymmetricConvolution(a)),
            lambda b: Scan(SymmetricConvolution(a[:, b])),
        ),
    ):
        assert flow.experimental_batch_shape(1) == [4]
        y, fldj = flow.forward(x), flow.forward_log_det_jacobian(x, 1)
        assert fldj.shape == [6, 4]
        for b in range(4):
            alone = own(b)
            np.testing.assert_allclose(
                y[:, b], alone.forward(x[:, b]), atol=1e-13
            )
            np.testing.assert_allclose(
                fldj[:, b],
                alone.forward_log_det_jacobian(x[:, b], 1),
                atol=1e-13,
            )


BAD_ARGUMENTS = {
    "scalar": (
        (1.0,),
        ValueError,
        r"`unconstrained_log_magnitude` must have shape .*; got \(\)",
    ),
    "no samples": (
        (np.zeros([3, 0]),),
        ValueError,
        r"`unconstrained_log_magnitude` must .* D >= 1; got \(3, 0\)",
    ),
    "integers": (
        (np.zeros(2, int),),
        TypeError,
        "`unconstrained_log_magnitude` must be float32 or .*; got int64",
    ),
    "bound": (
        ([1.0], -1.0),
        ValueError,
        "`max_log_magnitude` must be positive and finite; got -1.0",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case):
    args, error, message = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=message):
        SymmetricConvolution(*args)


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size_are_refused(method):
    """Also size 1, which would broadcast silently."""
    name = "x" if method == "forward" else "y"
    for shape in ([3], [4, 1]):
        message = (
            rf"`{name}` must have shape \[\.\.\., 2\] for SymmetricConvolution"
        )
        with pytest.raises(ValueError, match=message):
            getattr(SymmetricConvolution([1.0, 2.0]), method)(tf.zeros(shape))
