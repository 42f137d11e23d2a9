"""Packed triangles and the constraint of Sylvester flows."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import sylvester


def test_packed_are_the_diagonal_and_then_what_is_above_it():
    matrix = sylvester.unpack(tf.range(1.0, 11.0))
    expected = [[1, 5, 6, 7], [0, 2, 9, 10], [0, 0, 3, 8], [0, 0, 0, 4]]
    np.testing.assert_array_equal(matrix, expected)
    np.testing.assert_array_equal(sylvester.pack(matrix), np.arange(1, 11))


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9])
def test_unpack_undoes_pack(size):
    rng = np.random.default_rng(0)
    upper = np.triu(rng.normal(size=[3, 2, size, size]))
    packed = sylvester.pack(upper)
    assert packed.shape == (3, 2, size * (size + 1) // 2)
    assert sylvester.num_units(packed.shape[-1]) == size
    np.testing.assert_array_equal(sylvester.unpack(packed), upper)
    # What is below the diagonal is left out.
    full = upper + np.tril(rng.normal(size=[size, size]), -1)
    np.testing.assert_array_equal(sylvester.pack(full), packed)


def test_sizes_of_no_triangle():
    assert [sylvester.num_units(n) for n in range(8)] == [
        None, 1, None, 2, None, None, 3, None,
    ]  # fmt: skip


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_plus_the_product_of_diagonals_does_not_cancel(dtype, jit_compile):
    """`1 + tanh(p) tanh(s)`, to a few eps also where it is 1e-30."""
    limits = np.finfo(dtype)
    top = -0.5 * np.log(limits.tiny)
    values = np.concatenate([[0.0], np.logspace(-6, np.log10(top), 60)])
    values = np.concatenate([-values[::-1], values]).astype(dtype)
    p, s = (a.ravel() for a in np.meshgrid(values, values))

    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(p, s):
        with tf.GradientTape() as tape:
            tape.watch([p, s])
            zeros = tf.zeros_like(p)
            constrained = sylvester.constrain(p, s, zeros)
        gradients = tape.gradient(constrained.q, [p, s])
        return constrained.c, constrained.q, gradients

    points = tf.constant(p[:, np.newaxis]), tf.constant(s[:, np.newaxis])
    c, q, (gradient, _) = run(*points)
    c, q, gradient = (a.numpy()[:, 0] for a in (c, q, gradient))
    # cosh(p + s) / (cosh(p) cosh(s)), each cosh over its exponential.
    p, s = p.astype(np.longdouble), s.astype(np.longdouble)
    exponent = np.abs(p + s) - np.abs(p) - np.abs(s)
    expected = 2.0 * np.exp(exponent) * (1.0 + np.exp(-2.0 * np.abs(p + s)))
    expected /= (1.0 + np.exp(-2.0 * np.abs(p))) * (
        1.0 + np.exp(-2.0 * np.abs(s))
    )
    assert (q >= limits.tiny).all()
    # The exponential's own error grows with its argument.
    allowed = (8.0 + 2.0 * np.minimum(np.abs(p), np.abs(s))) * limits.eps
    is_normal = expected > 8.0 * limits.tiny
    error = np.abs(q - expected) / expected
    assert (error <= allowed)[is_normal].all()
    np.testing.assert_allclose(c, q - 1.0, atol=4.0 * limits.eps)
    # The log-det divides the gradient by q at most.
    slope = np.tanh(s) / np.cosh(p) ** 2
    error = np.abs(gradient - slope)
    allowed *= np.maximum(expected, np.abs(slope))
    assert (error <= 4.0 * allowed)[is_normal].all()
