"""Permutations and orthogonal matrices between couplings."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Orthogonal, Permutation, Scan

tfd = tfp.distributions
K, B, D = 3, 4, 5


def _orders(*batch):
    keys = np.random.default_rng(0).random([*batch, D])
    return np.argsort(keys, axis=-1)


def _matrices(*batch):
    return np.linalg.qr(np.random.default_rng(0).normal(size=[*batch, D, D]))[0]


def _points(*shape):
    return tf.constant(np.random.default_rng(1).normal(size=shape))


@pytest.mark.parametrize("batch", [(), (B,), (2, 1)])
def test_permutation_moves_coordinates_exactly(batch):
    orders, x = _orders(*batch), _points(2, B, D)
    flow = Permutation(orders)
    assert flow.experimental_batch_shape() == list(batch)
    y = flow.forward(x)
    full = np.broadcast_to(orders, y.shape)
    np.testing.assert_array_equal(y, np.take_along_axis(x.numpy(), full, -1))
    np.testing.assert_array_equal(flow.inverse(tf.identity(y)), x)
    assert not np.any(flow.forward_log_det_jacobian(x, 1))
    assert not np.any(flow.inverse_log_det_jacobian(x, 1))


@pytest.mark.parametrize("batch", [(), (B,), (2, 1)])
def test_gradient_of_a_permutation(batch):
    """Also where the permutation has batch axes that the point lacks."""
    flow = Permutation(_orders(*batch))
    x, weights = _points(D), _points(2, B, D)

    def run(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(weights * flow.forward(x) ** 3)
            first = tape.gradient(y, x)
        return first, outer.gradient(first, x)

    orders = np.broadcast_to(flow.permutation, [2, B, D])
    moved = np.take_along_axis(np.broadcast_to(x, [2, B, D]), orders, -1)
    for mode in (run, tf.function(run, jit_compile=True)):
        first, second = mode(x)
        for found, values in ((first, 3 * moved**2), (second, 6 * moved)):
            expected = np.zeros(D)
            np.add.at(
                expected, orders.ravel(), (weights * values).numpy().ravel()
            )
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_orthogonal_is_undone_by_the_transpose():
    matrices, x = _matrices(B), _points(2, B, D)
    flow = Orthogonal(matrices)
    y = flow.forward(x)
    expected = np.einsum("bij,nbj->nbi", matrices, x)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_allclose(flow.inverse(tf.identity(y)), x, rtol=1e-12)
    assert not np.any(flow.forward_log_det_jacobian(x, 1))


@pytest.mark.parametrize("mixing", [Permutation, Orthogonal])
def test_is_scanned(mixing):
    values = _orders(K) if mixing is Permutation else _matrices(K)
    x = _points(2, D)
    flow = Scan(mixing(values))
    expected = x
    for value in values:
        expected = mixing(value).forward(expected)
    for forward in (flow.forward, tf.function(flow.forward, jit_compile=True)):
        np.testing.assert_allclose(forward(x), expected, rtol=1e-12)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = flow.forward(x)
    # Of the squared length, which is kept.
    np.testing.assert_allclose(tape.gradient(y, x, y), x, rtol=1e-10)
    np.testing.assert_allclose(flow.inverse(tf.identity(y)), x, rtol=1e-12)


@pytest.mark.parametrize(
    ("permutation", "error", "message"),
    [
        (
            [0, 1, 1],
            ValueError,
            r"each of 0, \.\.\., D - 1 once; got \[0, 1, 1",
        ),
        ([1, 2, 3], ValueError, "once; got"),
        ([[0, 1], [1, 1]], ValueError, "once; got"),
        ([0.0, 1.0], TypeError, "`permutation` must hold integers; got float"),
        (np.array([2.9, 0.1, 1.5]), TypeError, "must hold integers; got float"),
        (np.array([True, False]), TypeError, "must hold integers; got bool"),
        (0, ValueError, r"`permutation` must have shape \[\.\.\., D\]"),
    ],
)
def test_wrong_permutation(permutation, error, message):
    with pytest.raises(error, match=message):
        Permutation(permutation)


MODES = {
    "eager": lambda f: f,
    "graph": lambda f: tf.function(f, autograph=False),
    "xla": lambda f: tf.function(f, autograph=False, jit_compile=True),
    "vectorized_map": lambda f: functools.partial(tf.vectorized_map, f),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_a_variable_as_permutation(mode, dtype):
    """Its value of now, and its gradient at the point, tape in or out."""
    order = tf.Variable([2, 0, 1], dtype=getattr(tf, dtype))
    flow, x = Permutation(order), tf.constant([[1.0, 2.0, 3.0]] * 2)
    weights = tf.constant([1.0, 10.0, 100.0])

    def value(x):
        return tf.reduce_sum(weights * flow.forward(x), axis=-1)

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = value(x)
        return tape.gradient(y, x)

    for now, expected in (
        ([2, 0, 1], [10.0, 100.0, 1.0]),
        ([0, 2, 1], [1.0, 100.0, 10.0]),
    ):
        order.assign(now)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = MODES[mode](value)(x)
        np.testing.assert_array_equal(y, tf.linalg.matvec(x, expected))
        np.testing.assert_array_equal(tape.gradient(y, x), [expected] * 2)
        found = MODES[mode](gradient)(x)
        np.testing.assert_array_equal(found, [expected] * 2)


def test_a_variable_as_permutation_in_a_graph_of_tensorflow_1():
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        order = tf.compat.v1.get_variable(
            "order", initializer=[2, 0, 1], use_resource=True
        )
        x = tf.constant([1.0, 2.0, 3.0])
        y = Permutation(order).forward(x)
        (gradient,) = tf.gradients(y, x, tf.constant([1.0, 10.0, 100.0]))
        session.run(order.initializer)
        np.testing.assert_array_equal(session.run(y), [3.0, 1.0, 2.0])
        np.testing.assert_array_equal(session.run(gradient), [10, 100, 1])


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_permutations_of_discrete_values(mode):
    x = [[3, 0, 2], [1, 2, 0]]
    for base, dtype in (
        (tfd.Independent(tfd.Poisson([1.0, 2.0, 3.0]), 1), tf.float32),
        (tfd.Sample(tfd.Categorical([0.1, 0.5, 0.4, 0.0]), [3]), tf.int32),
    ):
        q = tfd.TransformedDistribution(base, Permutation([2, 0, 1]))
        y = tf.gather(tf.constant(x, dtype), [2, 0, 1], axis=-1)
        log_prob = MODES[mode](q.log_prob)(y)
        np.testing.assert_allclose(
            log_prob, base.log_prob(tf.constant(x, dtype)), rtol=1e-5
        )
        sample, log_prob = q.experimental_sample_and_log_prob(2, seed=1)
        np.testing.assert_allclose(q.log_prob(sample), log_prob, rtol=1e-5)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 0.1], [0.0, 1.0]], "`matrix` must be orthogonal; got one with"),
        ([[2.0]], "`matrix` must be orthogonal"),
        (
            [[1.0, 0.0]],
            r"`matrix` must have shape \[\.\.\., D, D\]; got \(1, 2\)",
        ),
        ([1.0, 0.0], r"`matrix` must have shape \[\.\.\., D, D\]; got \(2,\)"),
    ],
)
def test_wrong_matrix(matrix, message):
    with pytest.raises(ValueError, match=message):
        Orthogonal(matrix)


def test_keras_variables_are_refused():
    with pytest.raises(TypeError, match="`permutation` must not be a keras"):
        Permutation(keras.Variable([1, 0], dtype="int32"))
    with pytest.raises(
        TypeError, match="`matrix` must not be a keras.Variable"
    ):
        Orthogonal(keras.Variable(np.eye(2, dtype="float32")))
