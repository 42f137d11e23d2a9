"""TFP caches by tensor: no answer may be stale, blind to a tape, or kept."""

import gc

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import flows, reference

tfd = tfp.distributions

pytestmark = pytest.mark.parametrize("name", flows.NAMES)

QUANTITIES = {
    "forward": lambda flow, x: flow.forward(x),
    "inverse": lambda flow, x: flow.inverse(x),
    "fldj": lambda flow, x: flow.forward_log_det_jacobian(x, event_ndims=1),
    "ildj": lambda flow, x: flow.inverse_log_det_jacobian(x, event_ndims=1),
}


def _points():
    return tf.constant(
        np.random.default_rng(7).normal(size=(5, flows.EVENT_SIZE))
    )


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_values_follow_an_assignment(name, mode):
    parameters = flows.variables(name)
    flow = flows.bijector(name, parameters)
    posterior = flows.posterior(name, parameters)
    new_values = flows.parameters(name, seed=1)
    x = _points()

    def quantities():
        found = {key: f(flow, x) for key, f in QUANTITIES.items()}
        return {**found, "log_prob": posterior.log_prob(x)}

    def before_and_after():
        before = quantities()
        for key, value in new_values.items():
            parameters[key].assign(value)
        return before, quantities()

    def fresh(values):
        other = flows.bijector(name, values)
        found = {key: f(other, tf.identity(x)) for key, f in QUANTITIES.items()}
        log_prob = flows.posterior(name, values).log_prob(tf.identity(x))
        return {**found, "log_prob": log_prob}

    before, after = flows.compiled(before_and_after, mode)()
    flows.assert_close(before, fresh(flows.parameters(name)))
    flows.assert_close(after, fresh(new_values))


def _finite_differences(name, y, values, step=1e-6):
    """Gradients of the summed log-densities, from the formulas.

    Every number of every parameter is moved in a flow of its own: the flows
    are one amortized batch.
    """
    axis = 1 if name.startswith("scan") else 0
    moves = np.eye(sum(value.size for value in values.values()))
    moves = step * np.concatenate([moves, -moves])
    moved, start = {}, 0
    for key, value in values.items():
        move = moves[:, start : start + value.size]
        start += value.size
        batch = value + move.reshape(-1, *value.shape)
        moved[key] = np.moveaxis(batch, 0, axis)
    y = np.broadcast_to(y[:, np.newaxis], (len(y), len(moves), y.shape[-1]))
    x = flows.pull_back(name, y, moved)
    sums = np.sum(reference.log_prob(name, x, moved), axis=0)
    slopes = (sums[: len(sums) // 2] - sums[len(sums) // 2 :]) / (2.0 * step)
    found, start = {}, 0
    for key, value in values.items():
        found[key] = slopes[start : start + value.size].reshape(value.shape)
        start += value.size
    return found


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_log_prob_of_an_own_sample_has_the_full_gradient(name, mode):
    values = flows.parameters(name)
    parameters = {key: tf.Variable(value) for key, value in values.items()}
    posterior = flows.posterior(name, parameters)

    def evaluate():
        # The cache knows the way back to the noise; the tape does not.
        y = posterior.sample(5, seed=(1, 2))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(posterior.log_prob(y))
        return y, tape.gradient(loss, parameters)

    y, gradients = flows.compiled(evaluate, mode)()
    expected = _finite_differences(name, y.numpy(), values)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(
            gradient, expected[key], rtol=1e-5, atol=1e-6, err_msg=key
        )


def test_inverse_of_an_own_image_has_gradients(name):
    parameters = flows.variables(name)
    flow = flows.bijector(name, parameters)
    x = _points()
    y = flow.forward(x)
    fresh_y = tf.constant(y.numpy())
    found, expected = (
        flows.value_and_gradients(lambda y=y: flow.inverse(y), [y, parameters])
        for y in (y, fresh_y)
    )
    flows.assert_close(found, expected)
    flows.assert_gradients_are_usable(found[1])


def test_memory_does_not_grow_on_one_constant_tensor(name):
    parameters = flows.variables(name)
    x = _points()

    def use():
        # A new flow every time, as a layer makes it.
        flow = flows.bijector(name, parameters)
        for f in QUANTITIES.values():
            f(flow, x)
        flows.posterior(name, parameters).log_prob(x)

    def num_objects_after(num_uses):
        for _ in range(num_uses):
            use()
        gc.collect()
        return len(gc.get_objects())

    before = num_objects_after(1)
    # TFP's own cache would keep 26 objects per use of tfb.Scale.
    assert num_objects_after(4) - before < 4
