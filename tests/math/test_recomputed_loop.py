"""The loop that runs its steps again for the gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import recomputed_loop

N, D, K = 4, 3, 5
STATE = np.random.default_rng(0).normal(size=[N, D])
TABLE = 0.3 * np.random.default_rng(1).normal(size=[K, D])


def _loss_and_gradients(fold, state, table, variable):
    """Of a step that uses a tensor and a variable around it."""
    with tf.GradientTape() as tape:
        tape.watch([state, table])
        factor = tf.exp(table)  # captured, and depends on a source
        unused = tf.zeros([N, 1], state.dtype)

        def step(i, x, total):
            slope = tf.gather(factor, i) * variable
            y = tf.tanh(slope * x) + tf.stop_gradient(unused)
            return y, total + tf.reduce_sum(y * y, axis=-1)

        x, total = fold(step, (state, tf.zeros_like(state[:, 0])), K)
        loss = tf.reduce_sum(x) + tf.reduce_sum(total)
    return loss, tape.gradient(loss, [state, table, variable])


def _unrolled(step, state, num_steps):
    for i in range(num_steps):
        state = step(i, *state)
    return state


@pytest.mark.parametrize("mode", ["eager", "graph", "xla", "xla_unknown"])
def test_gradients_are_those_of_the_unrolled_loop(mode):
    variable = tf.Variable(0.7, dtype=tf.float64)
    inputs = [tf.constant(STATE), tf.constant(TABLE)]
    expected = _loss_and_gradients(_unrolled, *inputs, variable)

    def function(state, table):
        return _loss_and_gradients(recomputed_loop.fold, state, table, variable)

    if mode != "eager":
        unknown = [
            tf.TensorSpec([None, D], tf.float64),
            tf.TensorSpec([K, D], tf.float64),
        ]
        function = tf.function(
            function,
            autograph=False,
            jit_compile=mode != "graph",
            input_signature=unknown if mode == "xla_unknown" else None,
        )
    found = function(*inputs)
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12),
        found,
        expected,
    )


def test_gradient_passes_a_loop_and_a_branch_around_it():
    def value(x, fold):
        def twice(x):
            def step(i, y):
                return (tf.sin(x * y) + tf.cast(i, y.dtype),)

            return fold(step, (x,), K)[0]

        x = tf.cond(tf.reduce_sum(x) < 100.0, lambda: twice(x), lambda: x)
        return tf.while_loop(
            lambda i, _: i < 2, lambda i, y: (i + 1, twice(y)), (0, x)
        )[1]

    def gradient(x, fold):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(value(x, fold))
        return tape.gradient(y, x)

    x = tf.constant(STATE)
    found = tf.function(gradient, autograph=False)(x, recomputed_loop.fold)
    np.testing.assert_allclose(found, gradient(x, _unrolled), rtol=1e-10)


def _num_ops(num_steps):
    """In all functions of the graph of a gradient."""

    @tf.function(autograph=False)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            (y,) = recomputed_loop.fold(
                lambda i, x: (tf.tanh(x),), (x,), num_steps
            )
        return tape.gradient(y, x)

    graph = gradient.get_concrete_function(tf.constant(STATE)).graph
    library = graph.as_graph_def().library
    return len(graph.get_operations()) + sum(
        len(function.node_def) for function in library.function
    )


def test_graph_does_not_grow_with_the_number_of_steps():
    assert _num_ops(8) == _num_ops(64)
