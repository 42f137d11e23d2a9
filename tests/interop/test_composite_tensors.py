"""Flows as composite tensors: into, out of and through graphs."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import flows, reference

tfb = tfp.bijectors
tfd = tfp.distributions

pytestmark = pytest.mark.parametrize("name", flows.NAMES)


def _points():
    return np.random.default_rng(7).normal(size=(5, flows.EVENT_SIZE))


def test_one_trace_takes_other_parameters(name):
    num_traces = 0

    def log_prob(posterior, flow, x):
        nonlocal num_traces
        num_traces += 1
        y = flow.forward(x)
        return posterior.log_prob(tf.identity(y)), y

    log_prob = flows.compiled(log_prob, "xla")
    x = _points()
    for seed in (0, 1):
        values = flows.parameters(name, seed=seed)
        y, _ = reference.forward(name, x, values)
        found, image = log_prob(
            flows.posterior(name, values), flows.bijector(name, values), x
        )
        np.testing.assert_allclose(
            found, reference.log_prob(name, x, values), atol=flows.TOLERANCE
        )
        np.testing.assert_allclose(image, y, atol=flows.TOLERANCE)
    assert num_traces == 1


def test_gradients_reach_variables_of_an_argument(name):
    parameters = flows.variables(name)
    posterior = flows.posterior(name, parameters)
    y = tf.constant(_points())
    log_prob = tf.function(lambda q, y: q.log_prob(y), autograph=False)

    def both_gradients():
        return [
            flows.value_and_gradients(f, parameters)
            for f in (
                lambda: log_prob(posterior, y),
                lambda: posterior.log_prob(y),
            )
        ]

    flows.assert_close(*both_gradients())
    for variable in parameters.values():
        variable.assign(0.5 * variable)
    flows.assert_close(*both_gradients())


def test_graph_returns_a_flow(name):
    values = flows.parameters(name)

    @tf.function(autograph=False)
    def halve(values):
        values = tf.nest.map_structure(lambda v: 0.5 * v, values)
        return flows.bijector(name, values), flows.posterior(name, values)

    flow, posterior = halve(values)
    halved = {key: 0.5 * value for key, value in values.items()}
    expected = flows.bijector(name, halved)
    assert type(flow) is type(expected)
    x = _points()
    y, _ = reference.forward(name, x, halved)
    np.testing.assert_allclose(flow.forward(x), y, atol=flows.TOLERANCE)
    np.testing.assert_allclose(
        posterior.log_prob(y),
        reference.log_prob(name, x, halved),
        atol=flows.TOLERANCE,
    )


@pytest.mark.parametrize("mode", ["eager", "xla"])
def test_flow_is_a_loop_variable(name, mode):
    def halve(flow):
        return tf.nest.map_structure(
            lambda v: 0.5 * v, flow, expand_composites=True
        )

    def run(flow, x):
        def body(i, flow, x):
            return i + 1, halve(flow), flow.forward(x)

        return tf.while_loop(lambda i, *_: i < 3, body, (0, flow, x))[1:]

    values = flows.parameters(name)
    x = _points()
    flow, y = flows.compiled(run, mode)(
        flows.bijector(name, values), tf.constant(x)
    )
    for _ in range(3):
        x, _ = reference.forward(name, x, values)
        values = {key: 0.5 * value for key, value in values.items()}
    np.testing.assert_allclose(y, x, atol=flows.TOLERANCE)
    np.testing.assert_allclose(
        flow.forward(x),
        reference.forward(name, x, values)[0],
        atol=flows.TOLERANCE,
    )


def test_distribution_is_a_loop_variable(name):
    posterior = flows.posterior(name, flows.parameters(name))

    @tf.function(autograph=False)
    def total_log_prob(posterior, y):
        def body(i, posterior, total):
            return i + 1, posterior, total + posterior.log_prob(y)

        start = (0, posterior, tf.zeros_like(y[:, 0]))
        return tf.while_loop(lambda i, *_: i < 3, body, start)[2]

    y = tf.constant(_points())
    np.testing.assert_allclose(
        total_log_prob(posterior, y),
        3.0 * posterior.log_prob(y),
        rtol=flows.TOLERANCE,
    )


def test_chain_and_invert_keep_the_flow_composite(name):
    values = flows.parameters(name)
    flow = tfb.Chain(
        [tfb.Invert(flows.bijector(name, values)), tfb.Shift(np.ones(2))]
    )
    leaves = tf.nest.flatten(flow, expand_composites=True)
    assert len(leaves) == 4
    rebuilt = tf.nest.pack_sequence_as(flow, leaves, expand_composites=True)
    x = _points()
    np.testing.assert_array_equal(rebuilt.forward(x), flow.forward(x))
