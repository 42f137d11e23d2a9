"""Values and derivatives where TensorFlow rewrites the graph.

`tf.vectorized_map` drops custom gradients and counts axes from the wrong end;
gradients of loops, conditions and functions capture the tensors of another
graph.
"""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import math

X = np.random.default_rng(0).normal(size=[2, 3, 3])


def _permuted(x):
    order = tf.constant([2, 0, 1])
    inverse = math.permutations.invert_permutation(order)
    return tf.sin(math.permutations.permute(x, order, inverse)) * x


def _circular(x, event_ndims=1):
    response = math.circulant.response(x, event_ndims=event_ndims)
    y, log_det = math.circulant.inverse(x, *response, event_ndims)
    return tf.sin(y) + tf.reshape(log_det, [*log_det.shape, *[1] * event_ndims])


def _symmetric(x):
    y, log_det = math.symmetric.inverse(x, *math.symmetric.response(x))
    return tf.sin(y) + log_det[..., tf.newaxis]


MAPS = {
    "circular": _circular,
    "circular-2d": lambda x: _circular(x, event_ndims=2),
    "symmetric": _symmetric,
    "s-log": lambda x: tf.sin(math.s_log.forward(x, tf.exp(x))[0]),
    "s-log-inverse": lambda x: tf.sin(math.s_log.inverse(x, tf.exp(x))[0]),
    "permuted": _permuted,
    "planar": lambda x: tf.add_n(
        [n * tf.sin(v) for n, v in enumerate(_constraint(x), 1)]
    ),
}


def _constraint(a):
    """`m(a) - a, m(a), 1 + m(a)`."""
    flow = math.planar.constrain(
        a[..., tf.newaxis], tf.ones_like(a)[..., tf.newaxis], a, "identity"
    )
    return flow.u_hat[..., 0] - a, flow.c, flow.q


def _while(f):
    return lambda x: tf.while_loop(
        lambda i, y: i < 1, lambda i, y: (i + 1, f(y)), (0, x)
    )[1]


MODES = {
    "vectorized_map": lambda f: lambda x: tf.vectorized_map(f, x),
    "while_loop": _while,
    "cond": lambda f: (
        lambda x: tf.cond(x[0, 0, 0] < 9.0, lambda: f(x), lambda: x)
    ),
    "function": lambda f: tf.function(f, autograph=False),
}


def _derivatives(f, x):
    """Value, gradient, and the Hessian times a vector."""
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = f(x)
        gradient = tf.convert_to_tensor(inner.gradient(value, x))
        loss = tf.reduce_sum(gradient * tf.cos(5.0 * tf.stop_gradient(x)))
    return value, gradient, tf.convert_to_tensor(outer.gradient(loss, x))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *((name, "vectorized_map") for name in MAPS),
        *((name, "function") for name in ("circular", "s-log-inverse")),
        *((name, "cond") for name in ("planar", "symmetric")),
        *((name, "while_loop") for name in ("permuted", "circular-2d")),
    ],
)
def test_derivatives_survive(name, mode):
    x = tf.constant(X)
    wanted = _derivatives(MAPS[name], x)
    rewritten = MODES[mode](MAPS[name])

    def run(x):
        return _derivatives(rewritten, x)

    if mode != "function":
        run = tf.function(run, autograph=False)
    for value, want in zip(run(x), wanted, strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-11, atol=1e-11)


def test_vectorized_derivative_of_the_planar_constraint_at_zero():
    a = tf.zeros([2], tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(a)
        values = tf.vectorized_map(_constraint, a)
    slope = 1.0 - np.exp(-1.0)
    for value, want in zip(values, (slope - 1.0, slope, slope), strict=True):
        gradient = tape.gradient(value, a)
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), [want] * 2)


@pytest.mark.parametrize("function", [math.s_log.forward, math.s_log.inverse])
def test_vectorized_s_log_is_conditioned_in_float32(function):
    def slope_gradient(dtype, mapped):
        x = tf.constant([1e-9, 1e-5, 1e-3, 0.03, 0.05, 0.3, 3.0], dtype)
        slope = tf.ones_like(x)

        def value(arguments):
            return function(*(a[..., tf.newaxis] for a in arguments))[0]

        with tf.GradientTape() as tape:
            tape.watch(slope)
            arguments = (x, slope)
            y = (
                tf.vectorized_map(value, arguments)
                if mapped
                else value(arguments)
            )
        return tf.convert_to_tensor(tape.gradient(y, slope))

    want = slope_gradient(tf.float64, mapped=False)
    got = slope_gradient(tf.float32, mapped=True)
    np.testing.assert_allclose(got, want, rtol=2e-5)


def test_three_dimensions_are_refused_where_custom_gradients_are_dropped():
    x = tf.constant(np.random.default_rng(0).normal(size=[2, 2, 3, 4]))

    def mapped():
        return tf.vectorized_map(lambda x: _circular(x, event_ndims=3), x)

    want = _circular(x, event_ndims=3)
    np.testing.assert_allclose(mapped(), want, atol=1e-12)
    with tf.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(LookupError, match="RFFT3D"):
            mapped()


_SCRIPT = """
import numpy as np
import tensorflow as tf
from tfp_flows import bijectors as b, math

def gradients(f, *arguments):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = f(*arguments)
    return value, *tape.gradient(value, arguments)

rng = np.random.default_rng(0)
cases = [([64, 1, 8, 8], s) for s in ([8], [1, 8], [1, 1, 8])]
cases += [([64, 1, 8, 8], s) for s in ([3, 8], [64, 1, 8])]
cases += [([1, 1, 8, 8], [2, 1, 8]), ([64, 1, 1, 8, 8], [8])]
for matrix_shape, shape in cases:
    m, x = (rng.normal(size=s).astype("f") for s in (matrix_shape, shape))
    for transpose in (False, True):
        def step(m, x):
            return gradients(
                lambda m, x: math.linear.times(m, x, transpose=transpose), m, x
            )
        signature = [tf.TensorSpec([None] * a.ndim) for a in (m, x)]
        square = np.swapaxes(m, -1, -2) if transpose else m
        want = np.einsum("...ij,...j->...i", square, x)
        for run in (
            step,
            tf.function(step),
            tf.function(step, jit_compile=True),
            tf.function(step, input_signature=signature),
        ):
            for _ in range(5):
                y, m_bar, x_bar = run(tf.constant(m), tf.constant(x))
            np.testing.assert_allclose(y, want, atol=1e-4)
            assert m_bar.shape == m.shape and x_bar.shape == x.shape

# Maps of batch [64, 1] of one point: those of batch [64].
shapes = {
    b.LULinear: [[8, 8]],
    b.Householder: [[3, 8]],
    b.SylvesterTriangular: [[36], [36], [8]],
    b.SylvesterHouseholder: [[8, 8], [36], [36], [8]],
    b.SylvesterOrthogonal: [[3, 8], [6], [6], [3]],
    b.Orthogonal: [[8, 8]],
}
x = tf.constant(rng.normal(size=8).astype("f"))
for cls, event_shapes in shapes.items():
    flat = [0.3 * rng.normal(size=[64, *e]).astype("f") for e in event_shapes]
    if cls is b.Orthogonal:
        flat = [np.linalg.qr(matrix)[0] for matrix in flat]
    for direction in ("forward", "inverse"):
        def run(x, *parameters):
            y = getattr(cls(*parameters), direction)(x)
            return tf.sin(y)
        want = gradients(run, x, *map(tf.constant, flat))
        for _ in range(3):
            column = [tf.constant(p[:, np.newaxis]) for p in flat]
            found = gradients(run, x, *column)
            for value, right in zip(found, want, strict=True):
                right = np.reshape(right, value.shape)
                np.testing.assert_allclose(value, right, atol=2e-4)

# One map of points [7, 1], each by itself.
packed = [0.3 * rng.normal(size=n).astype("f") for n in (36, 36, 8)]
vectors = rng.normal(size=[1, 8, 8]).astype("f")
def inverse_sylvester(y, *parameters):
    return gradients(b.SylvesterTriangular(*parameters).inverse, y)
def inverse_householder(y, vectors):
    return gradients(lambda y, v: b.Householder(v).inverse(y), y, vectors)
y = tf.constant(rng.normal(size=[7, 1, 8]).astype("f"))
def check(run, *parameters):
    parameters = [tf.constant(p) for p in parameters]
    def each(y):
        return run(y, *parameters)
    rows = zip(*map(each, tf.unstack(y)), strict=True)
    for value, right in zip(tf.vectorized_map(each, y), rows, strict=True):
        np.testing.assert_allclose(value, tf.stack(right), atol=1e-4)
for _ in range(3):
    check(inverse_sylvester, *packed)
    check(inverse_householder, vectors)
    check(inverse_householder, vectors[0])

# Grappler ended the process at an empty batch of kernels.
for spectrum in (tf.zeros([0, 4]), tf.zeros([4])):
    for point in (tf.ones([4]), tf.zeros([0, 4])):
        for cls in (b.CircularConvolution, b.SymmetricConvolution):
            for jit in (None, False, True):
                def step(p, v):
                    return gradients(lambda p, v: cls(p).forward(v), p, v)
                if jit is not None:
                    step = tf.function(step, jit_compile=jit, autograph=False)
                y, p_bar, v_bar = step(spectrum, point)
                batch = tf.broadcast_static_shape(spectrum.shape, point.shape)
                assert y.shape == batch and p_bar.shape == spectrum.shape
                assert v_bar.shape == point.shape
assert b.Orthogonal(tf.zeros([0, 4, 4])).forward(tf.ones([4])).shape == [0, 4]
"""


@pytest.mark.slow
def test_the_process_survives_single_points_and_empty_batches():
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
