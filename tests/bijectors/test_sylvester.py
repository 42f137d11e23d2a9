"""What is particular to the Sylvester flows; the kit tests the rest."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import (
    Planar,
    Scan,
    SylvesterHouseholder,
    SylvesterOrthogonal,
    SylvesterTriangular,
)
from tfp_flows.math import householder, sylvester

tfb = tfp.bijectors

D = 4


def _normal(*shape, seed=0):
    return tf.constant(np.random.default_rng([seed, *shape]).normal(size=shape))


def _units(batch, num_units):
    packed_size = num_units * (num_units + 1) // 2
    return {
        "r1": _normal(*batch, packed_size, seed=1),
        "r2": _normal(*batch, packed_size, seed=2),
        "b": _normal(*batch, num_units, seed=3),
    }


def _orthogonal(*batch, num_units=2):
    return SylvesterOrthogonal(
        _normal(*batch, num_units, D), **_units(batch, num_units)
    )


def _householder(*batch, num_vectors=3):
    return SylvesterHouseholder(
        _normal(*batch, num_vectors, D), **_units(batch, D)
    )


def _triangular(*batch, is_reversed=None):
    return SylvesterTriangular(**_units(batch, D), is_reversed=is_reversed)


def _alternating(num_members, *batch):
    is_reversed = np.arange(num_members) % 2 == 1
    is_reversed = is_reversed.reshape([num_members, *[1] * len(batch)])
    return _triangular(num_members, *batch, is_reversed=is_reversed)


KINDS = {
    "orthogonal": _orthogonal,
    "householder": _householder,
    "triangular": _triangular,
    "reversed": functools.partial(_triangular, is_reversed=True),
}


def test_a_value_computed_by_hand():
    # R1 = [[0.5, 3], [0, -0.25]], R2 = [[0.8, -1], [0, 0.4]].
    flow = SylvesterTriangular(
        r1=np.array([np.arctanh(0.5), np.arctanh(-0.25), 3.0]),
        r2=np.array([np.arctanh(0.8), np.arctanh(0.4), -1.0]),
        b=np.array([0.1, -0.2]),
    )
    h1 = np.tanh(0.8 * 1.0 - 1.0 * 2.0 + 0.1)
    h2 = np.tanh(0.4 * 2.0 - 0.2)
    y = [1.0 + 0.5 * h1 + 3.0 * h2, 2.0 - 0.25 * h2]
    fldj = np.log1p(0.4 * (1 - h1**2)) + np.log1p(-0.1 * (1 - h2**2))
    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(flow.forward(x), y, rtol=1e-12)
    np.testing.assert_allclose(flow.inverse(np.array(y)), x, rtol=1e-12)
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1), fldj, rtol=1e-12
    )
    # Reversed: the same map of the coordinates in the other order.
    flow = flow.copy(is_reversed=True)
    np.testing.assert_allclose(flow.forward(x[::-1]), y[::-1], rtol=1e-12)


@pytest.mark.parametrize("kind", ["orthogonal", "householder", "reversed"])
def test_equals_the_formula_with_a_dense_q(kind):
    flow = KINDS[kind]()
    q = np.eye(D)[::-1]
    if kind != "reversed":
        product = householder.reflections(flow.vectors)
        q = householder.columns(*product, flow.b.shape[-1]).numpy()
    r1, r2 = (sylvester.unpack(r).numpy() for r in (flow.r1, flow.r2))
    for r in (r1, r2):
        np.fill_diagonal(r, np.tanh(np.diagonal(r)))
    x = _normal(6, D)
    h = np.tanh(x @ q @ r2.T + flow.b)
    np.testing.assert_allclose(flow.forward(x), x + h @ r1.T @ q.T, rtol=1e-12)


def test_one_unit_is_a_planar_flow():
    """`u_hat` and `w` are multiples of the one column."""
    direction = np.array([[0.3, -1.0, 2.0]])
    raw1, raw2, b = np.array([0.7]), np.array([-1.2]), np.array([0.4])
    flow = SylvesterOrthogonal(direction, raw1, raw2, b)
    column = np.eye(3)[0] - 2 * direction[0] * 0.3 / np.sum(direction**2)
    w = np.tanh(raw2) * column
    c = np.tanh(raw1) * np.tanh(raw2)
    # <w, u> = a gives c = m(a) = -1 + softplus(a + log(e - 1)).
    a = np.log(np.expm1(1 + c)) - np.log(np.expm1(1))
    planar = Planar(a * w / np.sum(w**2), w, b[0])
    x = _normal(50, 3)
    y = planar.forward(x)
    np.testing.assert_allclose(flow.forward(x), y, atol=1e-13)
    np.testing.assert_allclose(flow.inverse(tf.identity(y)), x, atol=1e-13)
    np.testing.assert_allclose(
        flow.forward_log_det_jacobian(x, 1),
        planar.forward_log_det_jacobian(x, 1),
        atol=1e-13,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_zero_r1_is_the_identity_exactly(kind):
    flow = KINDS[kind]()
    flow = flow.copy(r1=tf.zeros_like(flow.r1))
    x = 100 * _normal(7, D)
    np.testing.assert_array_equal(flow.forward(x), x)
    np.testing.assert_array_equal(flow.inverse(x), x)
    np.testing.assert_array_equal(
        flow.forward_log_det_jacobian(x, 1), np.zeros(7)
    )


def test_zero_vectors_give_finite_gradients():
    flow = _orthogonal(num_units=2)
    vectors = tf.zeros_like(flow.vectors)
    x = _normal(5, D)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        flow = flow.copy(vectors=vectors)
        loss = tf.reduce_sum(flow.forward(x)) + tf.reduce_sum(flow.inverse(x))
    # Q is then the first two columns of the identity.
    np.testing.assert_array_equal(flow.forward(x)[:, 2:], x[:, 2:])
    np.testing.assert_array_equal(
        tape.gradient(loss, vectors), np.zeros([2, D])
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_at_the_fold_everything_is_finite(dtype):
    """Diagonals of 1 and -1: c = -1 to rounding, no slope at s = 0."""
    for size in (3.0, 20.0, 1e4):
        r1 = np.array([size, -size, 0.5], dtype)
        x = np.array([[0, 0], [2, -1], [1e-4, 0], [3, 4]], dtype)
        flow = SylvesterTriangular(r1, -r1, np.zeros(2, dtype))
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = flow.forward(x)
            fldj = flow.forward_log_det_jacobian(x, 1)
        assert np.isfinite(fldj).all()
        assert np.isfinite(tape.gradient(fldj, x)).all()
        back = flow.inverse(tf.identity(y))
        assert np.isfinite(back).all()
        assert np.isfinite(flow.inverse_log_det_jacobian(y, 1)).all()
        # Off the fold the inverse is exact all the same.
        np.testing.assert_allclose(back[3], x[3], rtol=1e-3)


STACKS = {
    "orthogonal, amortized": lambda: _orthogonal(3, 5),
    "orthogonal, partly shared": lambda: _orthogonal(3, 5).copy(
        vectors=_normal(3, 1, 2, D)
    ),
    "householder, amortized": lambda: _householder(3, 5),
    "triangular, shared": lambda: _alternating(3),
    "triangular, amortized": lambda: _alternating(3, 5),
}

# The others are left to the slow run.
DEFAULT = (("triangular, shared", "forward"),)


@pytest.mark.parametrize(
    ("stack", "direction"),
    [
        pytest.param(*pair, marks=[] if pair in DEFAULT else [pytest.mark.slow])
        for pair in itertools.product(STACKS, ("forward", "inverse"))
    ],
)
def test_scan_equals_the_chain_of_its_members(stack, direction):
    """Value, log-det and every gradient, compiled."""
    members = STACKS[stack]()
    tensors = [
        t
        for t in tf.nest.flatten(members, expand_composites=True)
        if t.dtype == tf.float64
    ]
    x = _normal(7, 5, D, seed=9)

    def run(is_rolled, x):
        with tf.GradientTape() as tape:
            tape.watch([x, *tensors])
            if is_rolled:
                bijector = Scan(members)
            else:  # Chain applies the last bijector of its list first.
                bijector = tfb.Chain([members[k] for k in (2, 1, 0)])
            y = getattr(bijector, direction)(x)
            log_det = getattr(bijector, f"{direction}_log_det_jacobian")(x, 1)
            loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(log_det**2)
        return [y, log_det, *tape.gradient(loss, [x, *tensors])]

    compiled = tf.function(
        functools.partial(run, True), jit_compile=True, autograph=False
    )
    expected = run(False, tf.identity(x))
    for got, want in zip(compiled(x), expected, strict=True):
        scale = np.abs(want).max()
        np.testing.assert_allclose(got, want, atol=1e-10 * scale)


@pytest.mark.parametrize("kind", KINDS)
def test_the_jacobian_of_the_inverse_inverts_that_of_the_map(kind):
    flow = KINDS[kind]()
    x = _normal(5, D)
    y = tf.identity(flow.forward(x))
    jacobians = []
    for function, points in ((flow.forward, x), (flow.inverse, y)):
        with tf.GradientTape() as tape:
            tape.watch(points)
            image = function(points)
        jacobians.append(tape.batch_jacobian(image, points).numpy())
    unit = jacobians[0] @ jacobians[1]
    np.testing.assert_allclose(
        unit, np.broadcast_to(np.eye(D), unit.shape), atol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "jit_compile"),
    [
        ("orthogonal", False),
        pytest.param("orthogonal", True, marks=pytest.mark.slow),
        pytest.param("reversed", True, marks=pytest.mark.slow),
    ],
)
def test_derivatives_of_the_inverse_along_a_curve(kind, jit_compile):
    """First and second, of value and log-det, by finite differences."""
    flow = KINDS[kind]()
    names = [n for n in ("vectors", "r1", "r2", "b") if hasattr(flow, n)]
    start = {"y": _normal(3, D), **{n: getattr(flow, n) for n in names}}
    tangent = {n: _normal(*v.shape, seed=5) for n, v in start.items()}

    def along(t):
        moved = {n: start[n] + t * tangent[n] for n in start}
        y = moved.pop("y")
        bijector = flow.copy(**moved)
        x, ildj = bijector.inverse(y), bijector.inverse_log_det_jacobian(y, 1)
        return tf.reduce_sum(tf.sin(x) * start["y"]) + tf.reduce_sum(ildj**2)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def derivatives(t):
        with tf.GradientTape() as outer:
            outer.watch(t)
            with tf.GradientTape() as inner:
                inner.watch(t)
                value = along(t)
            first = inner.gradient(value, t)
        return first, outer.gradient(first, t)

    h = 1e-3
    values = [along(tf.constant(n * h, tf.float64)) for n in range(-2, 3)]
    expected_first = np.dot([1, -8, 0, 8, -1], values) / (12 * h)
    expected_second = np.dot([-1, 16, -30, 16, -1], values) / (12 * h**2)
    first, second = derivatives(tf.constant(0.0, tf.float64))
    np.testing.assert_allclose(first, expected_first, rtol=1e-6)
    np.testing.assert_allclose(second, expected_second, rtol=1e-5)


@pytest.mark.parametrize(
    ("num_members", "jit_compile"),
    [
        pytest.param([], True, marks=pytest.mark.slow),
        pytest.param([2], True, marks=pytest.mark.slow),
        pytest.param([], False),
    ],
)
def test_vectorized_map_over_points(num_members, jit_compile):
    flow = Scan(_alternating(*num_members)) if num_members else _triangular()
    y = _normal(5, D)

    @tf.function(jit_compile=jit_compile)
    def run(y):
        return tf.vectorized_map(
            lambda y: (flow.inverse(y), flow.inverse_log_det_jacobian(y, 1)), y
        )

    x, ildj = run(y)
    np.testing.assert_allclose(x, flow.inverse(y), atol=1e-13)
    expected = flow.inverse_log_det_jacobian(y, 1)
    np.testing.assert_allclose(ildj, expected, atol=1e-13)


def test_the_graph_does_not_grow_with_the_number_of_units():
    def num_operations(num_units):
        flow = _orthogonal(num_units=num_units)
        graph = tf.function(flow.inverse).get_concrete_function(
            tf.TensorSpec([2, D], tf.float64)
        )
        definition = graph.graph.as_graph_def()
        return len(definition.node) + sum(
            len(f.node_def) for f in definition.library.function
        )

    # One level more in the inverse of a block of reflections.
    assert num_operations(4) <= num_operations(2) + 10


def test_trainable_members():
    """`is_reversed` is not among what is trained."""
    triangular = tfp.experimental.util.make_trainable(
        SylvesterTriangular, batch_and_event_shape=[2, 3], seed=(1, 2)
    )
    shapes = [v.shape.as_list() for v in triangular.trainable_variables]
    assert shapes == [[2, 6], [2, 6], [2, 3]]
    orthogonal = tfp.experimental.util.make_trainable(
        SylvesterOrthogonal, batch_and_event_shape=[2, 3], seed=(1, 2)
    )
    shapes = [v.shape.as_list() for v in orthogonal.trainable_variables]
    assert shapes == [[2, 3, 3], [2, 6], [2, 6], [2, 3]]
    flow = Scan(triangular)
    x = tf.constant([[0.3, -1.0, 2.0]])
    np.testing.assert_allclose(
        flow.inverse(tf.identity(flow.forward(x))), x, atol=1e-4
    )


def test_is_reversed_differs_from_example_to_example():
    flow = _triangular(2, is_reversed=[False, True])
    x = _normal(2, D)
    plain, turned = (_triangular(2, is_reversed=r) for r in (None, True))
    y = flow.forward(x)
    np.testing.assert_array_equal(y[0], plain.forward(x)[0])
    np.testing.assert_array_equal(y[1], turned.forward(x)[1])
    np.testing.assert_array_equal(
        _triangular(2, is_reversed=False).forward(x), plain.forward(x)
    )


def _arguments(**changes):
    arguments = {
        "vectors": np.ones([2, 3]),
        "r1": np.ones(3),
        "r2": np.ones(3),
        "b": np.ones(2),
    }
    return arguments | changes


BAD_ARGUMENTS = {
    "no triangle": (
        SylvesterOrthogonal,
        _arguments(r1=np.ones(4)),
        ValueError,
        r"`r1` must have shape \[\.\.\., M \(M \+ 1\) / 2\].*; got \(4,\)",
    ),
    "a scalar": (
        SylvesterOrthogonal,
        _arguments(r2=np.ones(())),
        ValueError,
        r"`r2` must have shape \[\.\.\., M \(M \+ 1\) / 2\].*; got \(\)",
    ),
    "no units": (
        SylvesterOrthogonal,
        _arguments(r1=np.ones(0)),
        ValueError,
        r"`r1` must have .* of known size M >= 1; got \(0,\)",
    ),
    "triangles differ": (
        SylvesterOrthogonal,
        _arguments(r2=np.ones(6)),
        ValueError,
        r"`r1` and `r2` must have .* one size M; got M = 2 .* and M = 3 from",
    ),
    "another number of offsets": (
        SylvesterOrthogonal,
        _arguments(b=np.ones(3)),
        ValueError,
        r"`b` must have shape \[\.\.\., 2\], as `r1` has 2 rows; got \(3,\)",
    ),
    "more units than dimensions": (
        SylvesterOrthogonal,
        _arguments(vectors=np.ones([2, 1])),
        ValueError,
        r"`vectors` must have .* M <= D; got M = 2 > D = 1",
    ),
    "another number of columns": (
        SylvesterOrthogonal,
        _arguments(vectors=np.ones([3, 4])),
        ValueError,
        r"`vectors` must have shape \[\.\.\., 2, D\].*; got \(3, 4\)",
    ),
    "reflections of another size": (
        SylvesterHouseholder,
        _arguments(),
        ValueError,
        r"`vectors` must have shape \[\.\.\., H, 2\].*; got \(2, 3\)",
    ),
    "no reflections": (
        SylvesterHouseholder,
        _arguments(vectors=np.ones([0, 2])),
        ValueError,
        r"`vectors` must have .* a known H >= 1 and D >= 1; got \(0, 2\)",
    ),
    "dtypes differ": (
        SylvesterHouseholder,
        _arguments(b=np.ones(2, np.float32)),
        TypeError,
        "must have one dtype; got vectors: float64, r1: float64",
    ),
    "numbers for booleans": (
        SylvesterTriangular,
        {"r1": np.ones(3), "r2": np.ones(3), "b": np.ones(2)}
        | {"is_reversed": np.ones(())},
        TypeError,
        "`is_reversed` must hold booleans; got float64",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case):
    bijector_class, arguments, error, message = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=message):
        bijector_class(**arguments)


def test_a_scan_needs_the_leading_axis_of_is_reversed():
    with pytest.raises(ValueError, match=r"got `is_reversed` of Sylvester"):
        Scan(_triangular(3, is_reversed=True))


@pytest.mark.parametrize("kind", KINDS)
def test_events_of_another_size_are_refused(kind):
    with pytest.raises(ValueError, match=r"`x` must have shape \[\.\.\., 4\]"):
        KINDS[kind]().forward(tf.zeros([2, 1], tf.float64))
