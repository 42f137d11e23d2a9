"""`tfp.experimental.util.make_trainable` of flows and of their Scans."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import flows
from tfp_flows.bijectors import Planar, Radial, Scan

tfb = tfp.bijectors
tfd = tfp.distributions

make_trainable = tfp.experimental.util.make_trainable

KINDS = {"planar": Planar, "radial": Radial}
SHAPES = {
    "planar": lambda shape: {"u": shape, "w": shape, "b": shape[:-1]},
    "radial": lambda shape: {
        "z0": shape,
        "unconstrained_alpha": shape[:-1],
        "unconstrained_beta": shape[:-1],
    },
}

pytestmark = pytest.mark.parametrize("name", KINDS)


def _trainable(name, shape, **kwargs):
    return make_trainable(
        KINDS[name],
        batch_and_event_shape=shape,
        parameter_dtype=tf.float64,
        seed=(3, 4),
        **kwargs,
    )


def test_variables_have_the_shapes_of_the_parameters(name):
    for shape in ((5,), (3, 5), (3, 4, 5)):
        flow = _trainable(name, shape)
        found = {
            variable.name.partition(":")[0]: tuple(variable.shape)
            for variable in flow.trainable_variables
        }
        assert found == SHAPES[name](shape)
        assert flow.experimental_batch_shape() == shape[:-1]
        assert flow.forward(np.zeros(5)).shape == shape


def test_steps_start_at_different_finite_places(name):
    flow = _trainable(name, (flows.NUM_MEMBERS, flows.EVENT_SIZE))
    for variable in flow.trainable_variables:
        rows = variable.numpy().reshape(flows.NUM_MEMBERS, -1)
        assert len(np.unique(rows, axis=0)) == flows.NUM_MEMBERS
    x = np.random.default_rng(0).normal(size=(100, 1, flows.EVENT_SIZE))
    y = flow.forward(x).numpy()
    assert np.all(np.abs(y - x) < 100.0)
    assert np.all(np.std(y, axis=0) > 0.01)


def test_given_values_are_kept(name):
    key = next(iter(SHAPES[name]((1, 1))))
    shape = (flows.NUM_MEMBERS, flows.EVENT_SIZE)
    start = np.full(shape, 0.5)
    flow = _trainable(name, shape, initial_parameters={key: start})
    np.testing.assert_array_equal(getattr(flow, key), start)
    fixed = _trainable(name, shape, **{key: start})
    assert len(fixed.trainable_variables) == 2


def test_scan_of_a_trainable_flow_trains(name):
    shape = (flows.NUM_MEMBERS, flows.EVENT_SIZE)
    flow = Scan(_trainable(name, shape))
    posterior = tfd.TransformedDistribution(flows.base(), flow)
    assert len(flow.trainable_variables) == 3
    assert len(posterior.trainable_variables) == 3
    assert len(tfb.Chain([flow]).trainable_variables) == 3
    # Points of a flow that is another one.
    y = flows.posterior(
        "scan_" + name, flows.parameters("scan_" + name)
    ).sample(500, seed=(1, 2))

    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(posterior.log_prob(y))
        gradients = tape.gradient(loss, posterior.trainable_variables)
        for gradient, variable in zip(
            gradients, posterior.trainable_variables, strict=True
        ):
            variable.assign_sub(0.05 * gradient)
        return loss, gradients

    step = flows.compiled(step, "xla")
    losses = []
    for _ in range(30):
        loss, gradients = step()
        flows.assert_gradients_are_usable(gradients)
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.1
    # The trained values are those in use, in eager mode too.
    values = {
        variable.name.partition(":")[0]: variable.numpy()
        for variable in flow.trainable_variables
    }
    expected = flows.posterior("scan_" + name, values).log_prob(y)
    flows.assert_close(posterior.log_prob(y), expected)


def test_variables_in_a_scan_of_a_chain(name):
    shape = (flows.NUM_MEMBERS, flows.EVENT_SIZE)
    flow = Scan(
        tfb.Chain(
            [
                _trainable(name, shape),
                make_trainable(
                    tfb.Shift,
                    batch_and_event_shape=shape,
                    parameter_dtype=tf.float64,
                ),
            ]
        )
    )
    assert len(flow.trainable_variables) == 4
    posterior = tfd.TransformedDistribution(flows.base(), flow)
    assert posterior.batch_shape == []
    _, gradients = flows.value_and_gradients(
        lambda: posterior.log_prob(np.ones(flows.EVENT_SIZE)),
        list(posterior.trainable_variables),
    )
    assert len(gradients) == 4
    flows.assert_gradients_are_usable(gradients)
