"""Products of reflections in closed form."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import householder

# What the docstrings promise: in every entry, per reflection and one more.
ROUNDINGS = 32.0
WIDER = {np.float32: np.float64, np.float64: np.longdouble}


def _product(vectors):
    """`H_1 ... H_H`, one reflection after the other."""
    size = vectors.shape[-1]
    product = np.eye(size, dtype=vectors.dtype)
    for v in vectors:
        if np.any(v):
            product -= 2 * np.outer(product @ v, v) / (v @ v)
    return product


def _random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


@pytest.mark.parametrize("num_vectors", [1, 2, 3, 5, 16, 17, 40])
def test_equals_the_product_of_the_reflections(num_vectors):
    """Of one block, of several, and of one that is not full."""
    vectors, x = _random(num_vectors, 6), _random(7, 6)
    product = _product(vectors)
    v, w = householder.reflections(tf.constant(vectors))
    for got, expected in (
        (householder.apply(tf.constant(x), v, w), x @ product.T),
        (householder.apply_transpose(tf.constant(x), v, w), x @ product),
        (householder.columns(v, w, 4), product[:, :4]),
    ):
        np.testing.assert_allclose(got, expected, atol=1e-13)


def test_batches_broadcast():
    vectors, x = _random(2, 1, 3, 4), _random(5, 4)
    v, w = householder.reflections(tf.constant(vectors))
    y = householder.apply(tf.constant(x), v, w)
    assert y.shape == (2, 5, 4)
    for i in range(2):
        expected = x @ _product(vectors[i, 0]).T
        np.testing.assert_allclose(y[i], expected, atol=1e-13)
    assert householder.columns(v, w, 2).shape == (2, 1, 4, 2)


def _positions(num_vectors, size, dtype):
    """Vectors in general position, and where a formula could fail."""
    limits = np.finfo(dtype)
    base = _random(num_vectors, size)
    one = np.broadcast_to(_random(1, size), base.shape)
    yield "random", base
    for spread in (1e-1, 1e-3, 1e-6, 1e-12, 0.0):
        yield f"collinear to {spread}", one + spread * base
    signs = (-1.0) ** np.arange(num_vectors)[:, np.newaxis]
    yield "opposite", one * signs + 1e-6 * base
    yield "in a plane", base[np.arange(num_vectors) % 2] + 1e-6 * base
    yield "tiny", base * limits.tiny * 1e3
    yield "huge", base / np.abs(base).max() * float(limits.max)
    yield (
        "of all lengths",
        base * 10.0 ** np.linspace(-30, 30, num_vectors)[:, np.newaxis],
    )
    yield "partly zero", base * (signs > 0)
    yield "zero", np.zeros_like(base)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("num_vectors", "size", "num_columns"),
    [(1, 3, 3), (8, 8, 8), (16, 64, 16), (64, 64, 64), (100, 8, 8)],
)
def test_columns_are_orthonormal_wherever_the_vectors_lie(
    num_vectors, size, num_columns, dtype, jit_compile
):
    @tf.function(jit_compile=jit_compile, autograph=False)
    def columns(vectors):
        product = householder.reflections(vectors)
        return householder.columns(*product, num_columns)

    limit = ROUNDINGS * (num_vectors + 1) * np.finfo(dtype).eps
    for name, vectors in _positions(num_vectors, size, dtype):
        q = columns(tf.constant(vectors.astype(dtype))).numpy()
        wide = q.astype(WIDER[dtype])
        error = np.abs(wide.T @ wide - np.eye(num_columns)).max()
        assert error <= limit, name


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_zero_vector_is_the_identity_with_gradient_zero(jit_compile):
    vectors = _random(5, 4)
    vectors[[0, 3]] = 0.0
    x = tf.constant(_random(7, 4))

    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(vectors):
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            y = householder.apply(x, *householder.reflections(vectors))
            loss = tf.reduce_sum(tf.sin(y))
        return y, tape.gradient(loss, vectors)

    y, gradient = run(tf.constant(vectors))
    others = tf.constant(vectors[[1, 2, 4]])
    expected, others_gradient = run(others)
    np.testing.assert_allclose(y, expected, atol=1e-13)
    np.testing.assert_array_equal(gradient.numpy()[[0, 3]], 0.0)
    np.testing.assert_allclose(
        gradient.numpy()[[1, 2, 4]], others_gradient, atol=1e-12
    )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("num_vectors", [3, 20])
def test_derivatives_are_those_of_the_reflections_one_by_one(
    num_vectors, jit_compile
):
    """First and second order, the vectors of lengths from 1e-8 to 1e8."""
    x = tf.constant(_random(6, 4))
    vectors = tf.constant(_random(num_vectors, 4))
    # The map of lengths times vectors is the same, its derivatives scale.
    lengths = tf.constant(10.0 ** np.linspace(-8, 8, num_vectors))
    lengths = lengths[:, tf.newaxis]

    def one_by_one(vectors):
        y = x
        for v in reversed(tf.unstack(vectors)):
            along = tf.linalg.matvec(y, v)[:, tf.newaxis]
            y -= 2.0 * along * v / tf.reduce_sum(v**2)
        return y

    def at_once(vectors):
        v, w = householder.reflections(vectors * lengths)
        return householder.apply(x, v, w)

    def derivatives(function, vectors):
        with tf.GradientTape() as outer:
            outer.watch(vectors)
            with tf.GradientTape() as inner:
                inner.watch(vectors)
                loss = tf.reduce_sum(tf.sin(function(vectors)))
            first = inner.gradient(loss, vectors)
            projected = tf.reduce_sum(first * tf.cos(vectors))
        return loss, first, outer.gradient(projected, vectors)

    run = tf.function(
        lambda vectors: derivatives(at_once, vectors),
        jit_compile=jit_compile,
        autograph=False,
    )
    expected = derivatives(one_by_one, vectors)
    for got, want in zip(run(vectors), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)
