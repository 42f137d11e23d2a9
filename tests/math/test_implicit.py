"""Derivatives that neither a rewritten nor a nested graph may lose."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows
from tests.interop import matrix
from tests.interop.flows import compiled
from tfp_flows.bijectors import Planar, Scan

# Whose own derivatives would be wrong, or cost too much to have.
GUARDED = ("iaf-3", "s-log-3", "spline-autoregressive-3", "naf-3")
SEARCHED = ("deep-sigmoidal-3", "sylvester-triangular-3")


def _inverse_gradients(inverse, flow):
    _, y = matrix.points(flow.event_shape)
    with tf.GradientTape() as tape:
        tape.watch(y)
        total = tf.reduce_sum(tf.sin(inverse(y)))
    return tape.gradient(total, [y, *flow.variables])


@pytest.mark.parametrize(
    "name",
    [
        "spline-3",
        *(pytest.param(n, marks=pytest.mark.slow) for n in SEARCHED),
    ],
)
def test_a_function_traced_outside_a_vectorized_map_keeps_its_gradient(name):
    flow = matrix.flow(name)
    inverse = tf.function(lambda y: flow.make().inverse(y), autograph=False)
    expected = _inverse_gradients(lambda y: flow.make().inverse(y), flow)
    inverse(matrix.points(flow.event_shape)[1][0])
    found = _inverse_gradients(lambda y: tf.vectorized_map(inverse, y), flow)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        *GUARDED[:2],
        *(pytest.param(n, marks=pytest.mark.slow) for n in GUARDED[2:]),
    ],
)
def test_what_is_traced_outside_and_guarded_refuses_its_gradient(name):
    flow = matrix.flow(name)
    inverse = tf.function(lambda y: flow.make().inverse(y), autograph=False)
    y = matrix.points(flow.event_shape)[1]
    inverse(y[0])
    np.testing.assert_allclose(
        tf.vectorized_map(inverse, y), flow.make().inverse(y), rtol=1e-12
    )
    with pytest.raises(LookupError, match=r"traced outside of it"):
        _inverse_gradients(lambda y: tf.vectorized_map(inverse, y), flow)


def _third_derivative(function, x, direction):
    t = tf.zeros([], x.dtype)
    with tf.GradientTape() as third:
        third.watch(t)
        with tf.GradientTape() as second:
            second.watch(t)
            with tf.GradientTape() as first:
                first.watch(t)
                value = function(x + t * direction)
            slope = first.gradient(value, t)
        curvature = second.gradient(slope, t)
    return third.gradient(curvature, t)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "planar-3",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("iaf-3", "deep-sigmoidal-3", "sylvester-triangular-3")
        ),
    ],
)
def test_third_derivatives_are_right_in_a_vectorized_map(name):
    flow = matrix.flow(name)
    _, y = matrix.points(flow.event_shape)
    direction = tf.constant([0.3, -0.5, 0.8], y.dtype)

    def function(y):
        bijector = flow.make()
        log_det = bijector.inverse_log_det_jacobian(y, 1)
        return tf.reduce_sum(tf.sin(bijector.inverse(y))) + log_det

    found = tf.vectorized_map(
        lambda y: _third_derivative(function, y, direction), y
    )
    expected = [_third_derivative(function, one, direction) for one in y]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("direction", "mode"),
    [
        ("forward", "eager"),
        ("inverse", "graph"),
        ("forward", "xla"),
        pytest.param("inverse", "xla", marks=pytest.mark.slow),
    ],
)
def test_jacobians_of_a_scan_are_vectorized(mode, direction):
    rng = np.random.default_rng(0)
    u, w = tf.constant(rng.standard_normal([2, 4, 3]))
    flow = Scan(Planar(u, w, tf.constant(rng.standard_normal(4))))
    x = tf.constant(rng.standard_normal([5, 3]))

    def jacobians(x):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = getattr(flow, direction)(x)
        return tape.batch_jacobian(y, x), tape.jacobian(y, x)

    log_det = getattr(flow, f"{direction}_log_det_jacobian")(x, 1)
    batch_jacobian, jacobian = compiled(jacobians, mode)(x)
    for found in (batch_jacobian, np.einsum("nind->nid", jacobian)):
        np.testing.assert_allclose(
            np.linalg.slogdet(found)[1], log_det, atol=1e-12
        )


def test_no_other_file_opens_a_tape():
    # Sources have to be tensors of the graph that the tape is in, as those of
    # `recomputed_loop` are.
    folder = pathlib.Path(tfp_flows.math.__file__).parent
    with_tapes = {
        path.name
        for path in folder.glob("*.py")
        if "GradientTape" in path.read_text(encoding="utf-8")
    }
    assert with_tapes == {"implicit.py", "recomputed_loop.py"}
