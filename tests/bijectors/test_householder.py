"""What is particular to Householder; the conformance kit tests the rest."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Householder, Scan

tfb = tfp.bijectors


def test_a_value_computed_by_hand():
    """The last reflection acts first."""
    # Along (1, 1): swaps and negates. Along (3, 0), of any length: negates x_1.
    flow = Householder([[1.0, 1.0], [3.0, 0.0]])
    np.testing.assert_allclose(flow.forward([2.0, 5.0]), [-5.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(flow.inverse([-5.0, 2.0]), [2.0, 5.0], rtol=1e-6)
    assert flow.forward_log_det_jacobian([2.0, 5.0], 1) == 0.0


def test_zero_vectors_are_the_identity_exactly():
    x = tf.constant(np.random.default_rng(0).normal(size=[7, 4]) * 100)
    flow = Householder(np.zeros([3, 4]))
    np.testing.assert_array_equal(flow.forward(x), x)
    np.testing.assert_array_equal(flow.inverse(x), x)


@pytest.mark.parametrize("num_vectors", [1, 4, 7, 20])
def test_lengths_are_kept_for_any_number_of_vectors(num_vectors):
    rng = np.random.default_rng(0)
    flow = Householder(rng.normal(size=[num_vectors, 4]))
    x = rng.normal(size=[9, 4])
    y = flow.forward(x)
    np.testing.assert_allclose(
        np.linalg.norm(y, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-13
    )
    np.testing.assert_allclose(flow.inverse(tf.identity(y)), x, atol=1e-13)
    determinant = np.linalg.det(flow.forward(np.eye(4)))
    np.testing.assert_allclose(determinant, (-1.0) ** num_vectors)


def test_as_many_reflections_as_dimensions_reach_every_rotation():
    """By gradients: a rotation of four dimensions is fitted."""
    target = np.linalg.qr(np.random.default_rng(1).normal(size=[4, 4]))[0]
    target[0] *= np.sign(np.linalg.det(target))
    vectors = tf.Variable(np.random.default_rng(0).normal(size=[4, 4]))

    @tf.function(jit_compile=True)
    def step():
        with tf.GradientTape() as tape:
            matrix = Householder(vectors).forward(tf.eye(4, dtype=tf.float64))
            loss = tf.reduce_sum((matrix - target) ** 2)
        vectors.assign_sub(0.1 * tape.gradient(loss, vectors))
        return loss

    for _ in range(300):
        loss = step()
    assert loss < 1e-6


def test_scan_equals_the_chain_of_its_members():
    """Amortized, with gradients."""
    rng = np.random.default_rng(0)
    vectors = tf.constant(rng.normal(size=[3, 5, 2, 4]))
    x = tf.constant(rng.normal(size=[7, 5, 4]))

    def run(make):
        with tf.GradientTape() as tape:
            tape.watch([x, vectors])
            y = make().forward(x)
            loss = tf.reduce_sum(tf.sin(y))
        return y, *tape.gradient(loss, [x, vectors])

    rolled = run(lambda: Scan(Householder(vectors)))
    chained = run(
        lambda: tfb.Chain([Householder(vectors[k]) for k in (2, 1, 0)])
    )
    for got, expected in zip(rolled, chained, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-12)


BAD_ARGUMENTS = {
    "one axis": (
        np.zeros(3),
        ValueError,
        r"`vectors` must have shape \[\.\.\., H, D\] .*; got \(3,\)",
    ),
    "no reflections": (
        np.zeros([0, 3]),
        ValueError,
        r"a known H >= 1 and D >= 1; got \(0, 3\)",
    ),
    "no dimensions": (
        np.zeros([3, 0]),
        ValueError,
        r"a known H >= 1 and D >= 1; got \(3, 0\)",
    ),
    "integers": (
        np.zeros([3, 2], int),
        TypeError,
        "`vectors` must be float32 or float64.*; got int64",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case):
    vectors, error, message = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=message):
        Householder(vectors)


def test_an_unknown_number_of_reflections_is_refused():
    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def run(vectors):
        return Householder(vectors).forward(tf.zeros([3]))

    with pytest.raises(ValueError, match="with a known H >= 1"):
        run(tf.zeros([2, 3]))


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size_are_refused(method):
    flow = Householder(np.ones([1, 2]))
    name = "x" if method == "forward" else "y"
    with pytest.raises(ValueError, match=f"`{name}` must have shape"):
        getattr(flow, method)(np.zeros([4, 1]))
