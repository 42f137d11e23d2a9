"""Products of matrices and points, whatever their batch axes."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import linear

NUM_MEMBERS = 3
SHAPES = {
    "samples": ((3, 4, 2), (5, 3, 2)),
    "rows": ((5, 1, 4, 2), (5, 3, 2)),
    "one-row": ((1, 3, 4, 2), (5, 3, 2)),
    "outer": ((5, 3, 4, 2), (1, 3, 2)),
    "crossed": ((5, 1, 4, 2), (1, 3, 2)),
    "fewer-axes": ((5, 3, 4, 2), (3, 2)),
    "one-point": ((5, 3, 4, 2), (2,)),
    "shared": ((4, 2), (5, 3, 2)),
    "empty": ((3, 4, 2), (0, 3, 2)),
}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_products(shapes, transpose, known):
    rng = np.random.default_rng(0)
    matrix, x = (rng.standard_normal(shape) for shape in shapes)
    given = np.swapaxes(matrix, -1, -2) if transpose else matrix
    free = (None,) * (matrix.ndim - 2)
    signature = [
        tf.TensorSpec(a.shape if known else (*free, *a.shape[-2:]), a.dtype)
        if a is given
        else tf.TensorSpec(
            a.shape if known else (*(None,) * (a.ndim - 1), a.shape[-1]),
            a.dtype,
        )
        for a in (given, x)
    ]

    @tf.function(input_signature=signature)
    def product(matrix, x):
        return linear.times(matrix, x, transpose=transpose)

    y = product(given, x)
    np.testing.assert_allclose(y, (matrix @ x[..., None])[..., 0], rtol=1e-12)


@pytest.mark.parametrize("name", ["samples", "rows"])
def test_second_derivatives_in_a_loop_compile(name):
    matrix_shape, x_shape = SHAPES[name]
    square = (NUM_MEMBERS, *matrix_shape[:-2], 2, 2)
    rng = np.random.default_rng(1)
    matrix = tf.constant(0.5 * rng.standard_normal(square))
    x = tf.constant(rng.standard_normal(x_shape))

    def composed(matrix, x):
        def step(i, x):
            return i + 1, tf.tanh(linear.times(matrix[i], x)) + x

        return tf.while_loop(
            lambda i, _: i < NUM_MEMBERS,
            step,
            (0, x),
            maximum_iterations=NUM_MEMBERS,
        )[1]

    def second(matrix, x):
        with tf.GradientTape() as outer:
            outer.watch((matrix, x))
            with tf.GradientTape() as inner:
                inner.watch((matrix, x))
                total = tf.reduce_sum(composed(matrix, x) ** 2)
            gradients = inner.gradient(total, (matrix, x))
            norm = tf.add_n([tf.reduce_sum(g * g) for g in gradients])
        return outer.gradient(norm, (matrix, x))

    compiled = tf.function(second, jit_compile=True, autograph=False)
    for found, expected in zip(
        compiled(matrix, x), second(matrix, x), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
