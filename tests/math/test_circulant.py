"""Circular convolution against dense circulant matrices."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import circulant

LENGTHS = [*range(1, 10), 64, 65]
# Odd and even sizes in all combinations, and sizes 1 and 2.
IMAGES = [
    (1, 1),
    (1, 4),
    (5, 1),
    (2, 3),
    (3, 2),
    (4, 4),
    (4, 5),
    (5, 4),
    (3, 5),
]
SHAPES = [(n,) for n in LENGTHS] + IMAGES + [(2, 3, 4)]

BOUND = circulant.MAX_LOG_MAGNITUDE


def _normal(*shape, seed=0, dtype=np.float64):
    rng = np.random.default_rng([seed, *shape])
    return rng.normal(size=shape).astype(dtype)


def _indices(shape):
    return np.stack(
        np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1
    ).reshape(-1, len(shape))


def _offsets(shape):
    """The flat index of `(i - n) mod N`, by the flat indices of i and n."""
    index = _indices(shape)
    difference = (index[:, np.newaxis] - index[np.newaxis]) % shape
    return np.ravel_multi_index(np.moveaxis(difference, -1, 0), shape)


def _matrix(kernel, shape):
    """The circulant matrix `C[i, n] = k[(i - n) mod N]`, on flat signals."""
    return np.ravel(kernel)[_offsets(shape)]


def _documented_response(a):
    """All the bins, by the formula of the docstring, in NumPy."""
    index = _indices(a.shape)
    opposite = a[tuple(np.moveaxis(-index % a.shape, -1, 0))].reshape(a.shape)
    log_magnitude = BOUND * np.tanh((a + opposite) / (2 * BOUND))
    return np.exp(log_magnitude + 0.5j * (a - opposite))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_dense_matrix(shape):
    a, x = _normal(*shape), _normal(7, *shape, seed=1)
    expected = np.fft.ifftn(_documented_response(a))
    np.testing.assert_allclose(expected.imag, 0.0, atol=1e-15)

    response = circulant.response(tf.constant(a), event_ndims=len(shape))
    kernel = circulant.kernel(*response, event_shape=shape)
    np.testing.assert_allclose(kernel, expected.real, atol=1e-14)
    kept = _documented_response(a)[..., : shape[-1] // 2 + 1]
    np.testing.assert_allclose(response.real, kept.real, atol=1e-14)
    np.testing.assert_allclose(response.imaginary, kept.imag, atol=1e-14)

    matrix = _matrix(kernel, shape)
    log_det = np.linalg.slogdet(matrix)[1]
    flat = x.reshape(7, -1)
    for function, images, expected_log_det in (
        (circulant.forward, flat @ matrix.T, log_det),
        (circulant.inverse, np.linalg.solve(matrix, flat.T).T, -log_det),
    ):
        y, found = function(tf.constant(x), *response, len(shape))
        assert y.dtype == found.dtype == tf.float64
        np.testing.assert_allclose(y, images.reshape(x.shape), atol=1e-13)
        np.testing.assert_allclose(
            found, np.full(7, expected_log_det), atol=1e-13
        )


def test_the_kernel_is_the_first_column():
    """And not the first row."""
    response = circulant.response(tf.constant([0.3, -1.0, 0.8, 0.2, 0.5]))
    kernel = circulant.kernel(*response, event_shape=[5]).numpy()
    columns, _ = circulant.forward(tf.eye(5), *response)
    matrix = columns.numpy().T
    np.testing.assert_allclose(matrix[:, 0], kernel, atol=1e-6)
    assert np.abs(matrix[0] - kernel).max() > 0.1


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1,), np.float32),
        ((65,), np.float32),
        ((8,), np.float64),
        ((3, 4), np.float32),
        ((2, 3, 4), np.float64),
    ],
    ids=str,
)
def test_zeros_are_the_identity_exactly(shape, dtype):
    def run(a, x):
        response = circulant.response(a, event_ndims=len(shape))
        return [
            function(x, *response, event_ndims=len(shape))
            for function in (circulant.forward, circulant.inverse)
        ]

    a, x = tf.zeros(shape, dtype), 100 * _normal(5, *shape, dtype=dtype)
    graph, compiled = (
        tf.function(run, jit_compile=jit_compile, autograph=False)
        for jit_compile in (False, True)
    )
    for mode in (run, graph, compiled):
        for y, log_det in mode(a, tf.constant(x)):
            np.testing.assert_array_equal(y, x)
            np.testing.assert_array_equal(log_det, np.zeros(5))
    response = circulant.response(a, event_ndims=len(shape))
    kernel = circulant.kernel(*response, event_shape=shape)
    np.testing.assert_array_equal(
        np.ravel(kernel), np.eye(kernel.shape.num_elements())[0]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bound", [0.5, BOUND])
@pytest.mark.parametrize("size", [7, 8])
def test_no_parameters_bring_the_response_near_zero(dtype, bound, size):
    signs = np.array(list(itertools.product([-1, 1], repeat=size)))
    a = (1e4 * signs).astype(dtype)
    real, imaginary, log_det = circulant.response(tf.constant(a), bound)
    magnitude = np.hypot(real, imaginary)
    slack = 8 * np.finfo(dtype).eps
    assert magnitude.min() >= np.exp(-bound) * (1 - slack)
    assert magnitude.max() <= np.exp(bound) * (1 + slack)
    assert np.abs(log_det).max() <= bound * size * (1 + slack)
    x = _normal(len(a), size, dtype=dtype)
    y, _ = circulant.forward(tf.constant(x), real, imaginary, log_det)
    back, _ = circulant.inverse(y, real, imaginary, log_det)
    np.testing.assert_allclose(back, x, atol=1e3 * np.finfo(dtype).eps)


def _dense(x, a):
    """Value, log-det and inverse by matrix products, all differentiable."""
    shape = a.shape[1:]
    num_axes, size = len(shape), int(np.prod(shape))
    index = _indices(shape)
    opposite = np.ravel_multi_index(np.moveaxis(-index % shape, -1, 0), shape)
    angle = 2 * np.pi * np.sum(index[:, np.newaxis] * (index / shape), axis=-1)
    a = tf.reshape(a, [-1, size])
    mirrored = tf.gather(a, opposite, axis=-1)
    log_magnitude = BOUND * tf.tanh((a + mirrored) / (2 * BOUND))
    phase = 0.5 * (a - mirrored)
    kernel = tf.reduce_mean(
        tf.exp(log_magnitude)[:, tf.newaxis]
        * tf.cos(angle + phase[:, tf.newaxis]),
        axis=-1,
    )
    matrix = tf.gather(kernel, _offsets(shape), axis=-1)
    flat = tf.reshape(x, [*x.shape[:-num_axes], size])
    y = tf.linalg.matvec(matrix, flat)
    back = tf.linalg.matvec(tf.linalg.inv(matrix), flat)
    log_det = tf.broadcast_to(tf.reduce_sum(log_magnitude, -1), y.shape[:-1])
    return tf.reshape(y, x.shape), log_det, tf.reshape(back, x.shape)


def _ours(x, a):
    num_axes = a.shape.rank - 1
    response = circulant.response(a, event_ndims=num_axes)
    y, log_det = circulant.forward(x, *response, num_axes)
    return y, log_det, circulant.inverse(x, *response, num_axes)[0]


def _derivatives(function, x, a):
    """First and second derivatives of a nonlinear function of all outputs."""
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


# A graph takes seconds for each.
COMPILED = ((5,), (4, 3))


def _modes():
    for shape in ((1,), (2,), (5,), (6,), (3, 4), (4, 3), (2, 3, 4)):
        for mode in ("eager", "graph", "xla"):
            slow = mode == "graph" or mode == "xla" and shape not in COMPILED
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param(shape, mode, id=f"{shape}-{mode}", marks=marks)


@pytest.mark.parametrize(("shape", "mode"), list(_modes()))
def test_derivatives_are_right_to_the_second_order(shape, mode):
    x, a = tf.constant(_normal(4, 3, *shape)), tf.constant(_normal(3, *shape))
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


@pytest.mark.parametrize(
    ("batch", "x_batch"),
    [((), (4,)), ((4,), ()), ((4,), (5, 4)), ((2, 1), (3,)), ((5, 4), (4,))],
)
def test_batches_broadcast_with_their_gradients(batch, x_batch):
    """Parameters of batch `batch`, signals of batch `x_batch`."""
    full = np.broadcast_shapes(batch, x_batch)
    x, a = tf.constant(_normal(*x_batch, 6)), tf.constant(_normal(*batch, 6))

    results = []
    for is_wide in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([x, a])
            given = [x, a]
            if is_wide:
                given = [tf.broadcast_to(v, [*full, 6]) for v in given]
            y, log_det = circulant.forward(
                given[0], *circulant.response(given[1])
            )
            loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(tf.sin(log_det))
        assert y.shape == (*full, 6)
        assert log_det.shape == full
        results.append([y, log_det, *tape.gradient(loss, [x, a])])
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-13)


def test_the_gain_changes_nothing_but_rounding():
    x, a = tf.constant(_normal(3, 7)), tf.constant(_normal(3, 7, seed=1))
    results = []
    for gain in (None, tf.constant([0.5, 1.0, -30.0], tf.float64)):
        with tf.GradientTape() as tape:
            tape.watch([x, a])
            response = circulant.response(a)
            y = circulant.convolve(x, response.real, response.imaginary, gain)
            loss = tf.reduce_sum(tf.sin(y))
        results.append([y, *tape.gradient(loss, [x, a])])
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-13)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s != (64,)], ids=str)
def test_the_spectrum_of_a_kernel_gives_it_back(shape):
    num_axes = len(shape)
    # Three standard deviations: phases beyond pi, magnitudes near the bound.
    response = circulant.response(
        tf.constant(3.0 * _normal(2, *shape)), event_ndims=num_axes
    )
    kernel = circulant.kernel(*response, event_shape=shape)
    spectrum = circulant.spectrum_of_kernel(kernel, event_ndims=num_axes)
    again = circulant.response(spectrum, event_ndims=num_axes)
    np.testing.assert_allclose(
        circulant.kernel(*again, event_shape=shape), kernel, atol=1e-12
    )


def test_a_negative_response_off_the_real_frequencies():
    """Phase pi, which rounding may turn to -pi at both of two opposites."""
    response = np.array([1.0, -2.0, 3.0, 3.0, -2.0])
    kernel = np.fft.ifft(response).real
    spectrum = circulant.spectrum_of_kernel(tf.constant(kernel))
    again = circulant.kernel(*circulant.response(spectrum), event_shape=[5])
    np.testing.assert_allclose(again, kernel, atol=1e-14)


@pytest.mark.parametrize("size", [4096, 4095])
def test_long_signals_in_float32(size):
    a, x = _normal(size, dtype=np.float32), _normal(2, size, dtype=np.float32)
    results = []
    for dtype in (tf.float32, tf.float64):
        points = tf.cast(x, dtype)
        response = circulant.response(tf.cast(a, dtype))
        y, log_det = circulant.forward(points, *response)
        back, _ = circulant.inverse(y, *response)
        assert (
            np.abs(back - points).max()
            < 100 * np.finfo(dtype.as_numpy_dtype).eps
        )
        results.append([y, log_det])
    for found, wanted in zip(*results, strict=True):
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found, wanted, atol=1e-5 * scale)


@pytest.mark.parametrize("size", [6, 7])
def test_a_length_that_the_graph_does_not_know(size):
    spec = tf.TensorSpec([None, None], tf.float64)

    @tf.function(input_signature=[spec, spec], autograph=False)
    def run(x, a):
        response = circulant.response(a)
        y, log_det = circulant.forward(x, *response)
        kernel = circulant.kernel(*response, event_shape=tf.shape(a)[-1:])
        return y, log_det, kernel, circulant.spectrum_of_kernel(kernel)

    x, a = _normal(3, size), _normal(3, size, seed=1)
    y, log_det, kernel, spectrum = run(x, a)
    response = circulant.response(tf.constant(a))
    expected = circulant.forward(tf.constant(x), *response)
    np.testing.assert_allclose(y, expected[0], atol=1e-14)
    np.testing.assert_allclose(log_det, expected[1], atol=1e-14)
    assert kernel.shape == [3, size]
    # Phases between -pi and pi come back as they are.
    inside = np.abs(a - np.roll(a[:, ::-1], 1, axis=1)).max() < 2 * np.pi
    assert inside
    np.testing.assert_allclose(spectrum, a, atol=1e-12)
