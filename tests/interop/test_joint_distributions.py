"""Flows inside joint distributions, one flow conditioned on another."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import flows, reference

tfd = tfp.distributions

pytestmark = pytest.mark.parametrize("name", flows.COSTLY_NAMES)

NUM_SAMPLES = 1000
Root = tfd.JointDistributionCoroutine.Root


def _given(z, name, values):
    """One flow for each `z`, `[N, D]`: parameters with batch shape `[N]`."""
    axis = 1 if name.startswith("scan") else 0
    values = {key: tf.expand_dims(v, axis) for key, v in values.items()}
    if name.endswith("planar"):
        values["b"] += tf.reduce_sum(z, axis=-1)
    else:
        values["z0"] += z
    return values


def _joint_model(name, values):
    """p(z, y): `z` is normal, `y` comes from a flow that depends on `z`."""

    @tfd.JointDistributionCoroutine
    def model():
        z = yield Root(flows.base())
        yield flows.posterior(name, _given(z, name, values))

    return model


def test_coroutine_log_prob_and_gradients(name):
    parameters = flows.variables(name)
    model = _joint_model(name, parameters)
    z, x = np.random.default_rng(7).normal(size=(2, 5, flows.EVENT_SIZE))
    values = flows.to_numpy(_given(z, name, parameters))
    y, _ = reference.forward(name, x, values)

    def evaluate(z, y):
        return flows.value_and_gradients(
            lambda: model.log_prob(z, y), [z, y, parameters]
        )

    log_prob, gradients = flows.in_all_modes(
        evaluate, tf.constant(z), tf.constant(y)
    )
    np.testing.assert_allclose(
        log_prob,
        reference.base_log_prob(z) + reference.log_prob(name, x, values),
        atol=flows.TOLERANCE,
    )
    flows.assert_gradients_are_usable(gradients)


def test_coroutine_samples_with_gradients_under_xla(name):
    parameters = flows.variables(name)
    model = _joint_model(name, parameters)

    def draw():
        return flows.value_and_gradients(
            lambda: tuple(model.sample(NUM_SAMPLES, seed=(1, 2))), parameters
        )

    (z, y), gradients = flows.compiled(draw, "xla")()
    flows.assert_gradients_are_usable(gradients)
    x = flows.pull_back(name, y, _given(z, name, parameters))
    flows.assert_standard_normal(np.concatenate([z, x], axis=-1))


def _auto_batched_model(name, values):
    """p(z, y): `z` from a flow, `y` normal around it."""

    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        z = yield flows.posterior(name, values)
        yield tfd.Normal(z, np.float64(0.5))

    return model


def _auto_batched_points(name, values):
    """`z`, `y`, and the log density that NumPy gives them."""
    x = np.random.default_rng(7).normal(size=(2, 5, flows.EVENT_SIZE))
    z, _ = reference.forward(name, x[0], values)
    expected = reference.log_prob(name, x[0], values)
    expected += reference.base_log_prob(x[1])
    expected -= flows.EVENT_SIZE * np.log(0.5)
    return tf.constant(z), tf.constant(z + 0.5 * x[1]), expected


def test_auto_batched_log_prob_and_gradients_in_a_graph(name):
    parameters = flows.variables(name)
    model = _auto_batched_model(name, parameters)
    z, y, expected = _auto_batched_points(name, flows.to_numpy(parameters))

    @tf.function(autograph=False)
    def evaluate(z, y):
        return flows.value_and_gradients(
            lambda: model.log_prob(z, y), [z, y, parameters]
        )

    log_prob, gradients = evaluate(z, y)
    np.testing.assert_allclose(log_prob, expected, atol=flows.TOLERANCE)
    # The flow alone, without vectorised loops, has the same gradients.
    posterior = flows.posterior(name, parameters)
    _, (of_z, of_parameters) = flows.value_and_gradients(
        lambda: posterior.log_prob(z), [z, parameters]
    )
    pull = (y - z) / 0.25
    flows.assert_close(gradients, [of_z + pull, -pull, of_parameters])
    flows.assert_gradients_are_usable(gradients)


def test_auto_batched_log_prob_under_xla(name):
    values = flows.parameters(name)
    model = _auto_batched_model(name, values)
    z, y, expected = _auto_batched_points(name, values)
    log_prob = flows.compiled(model.log_prob, "xla")(z, y)
    np.testing.assert_allclose(log_prob, expected, atol=flows.TOLERANCE)


def test_auto_batched_samples_under_xla(name):
    values = flows.parameters(name)
    model = _auto_batched_model(name, values)
    # A stateless seed makes TFP draw one sample after the other.
    draw = flows.compiled(
        lambda: tuple(model.sample(NUM_SAMPLES, seed=1)), "xla"
    )
    z, y = (value.numpy() for value in draw())
    x = flows.pull_back(name, z, values)
    flows.assert_standard_normal(np.concatenate([x, (y - z) / 0.5], axis=-1))
