"""Scans inside Chain and Invert, and Chain and Invert inside a Scan."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import flows, reference
from tfp_flows.bijectors import Planar, Radial, Scan

tfb = tfp.bijectors
tfd = tfp.distributions

BATCH_SIZE = 3
SHIFT = np.array([1.0, -2.0])
SCALE = np.array([0.5, 3.0])


def _points(seed=7):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(5, BATCH_SIZE, flows.EVENT_SIZE))


@pytest.mark.parametrize("name", ["scan_planar", "scan_radial"])
def test_scan_in_a_chain_with_shift_and_scale(name):
    parameters = flows.variables(name, (BATCH_SIZE,))
    chain = tfb.Chain(
        [
            flows.bijector(name, parameters),
            tfb.Shift(tf.Variable(SHIFT)),
            tfb.Scale(tf.Variable(SCALE)),
        ]
    )
    posterior = tfd.TransformedDistribution(flows.base(), chain)
    assert posterior.batch_shape == [BATCH_SIZE]
    assert len(posterior.trainable_variables) == 5
    x = _points()
    y, fldj = reference.forward(
        name, x * SCALE + SHIFT, flows.to_numpy(parameters)
    )

    def evaluate(y):
        return flows.value_and_gradients(
            lambda: posterior.log_prob(y),
            [y, list(posterior.trainable_variables)],
        )

    log_prob, gradients = flows.in_all_modes(
        evaluate, tf.constant(y), modes=("graph",)
    )
    np.testing.assert_allclose(
        log_prob,
        reference.base_log_prob(x) - fldj - np.sum(np.log(SCALE)),
        atol=flows.TOLERANCE,
    )
    flows.assert_gradients_are_usable(gradients)


@pytest.mark.parametrize("name", flows.NAMES)
def test_invert_swaps_the_directions(name):
    parameters = flows.variables(name, (BATCH_SIZE,))
    inverted = tfb.Invert(flows.bijector(name, parameters))
    posterior = tfd.TransformedDistribution(flows.base(), inverted)
    assert posterior.batch_shape == [BATCH_SIZE]
    assert len(posterior.trainable_variables) == 3
    # Here log_prob takes the forward pass of the flow.
    y = _points()
    x, fldj = reference.forward(name, y, flows.to_numpy(parameters))

    def evaluate(y):
        return flows.value_and_gradients(
            lambda: posterior.log_prob(y), [y, parameters]
        )

    log_prob, gradients = flows.in_all_modes(
        evaluate,
        tf.constant(y),
        modes=("xla",) if name.startswith("scan") else ("graph",),
    )
    np.testing.assert_allclose(
        log_prob, reference.base_log_prob(x) + fldj, atol=flows.TOLERANCE
    )
    flows.assert_gradients_are_usable(gradients)
    # A sample is where the inverse of the flow sends the noise.
    noise = posterior.distribution.sample([5, BATCH_SIZE], seed=(1, 2)).numpy()
    image, _ = reference.forward(
        name, inverted.forward(noise).numpy(), flows.to_numpy(parameters)
    )
    np.testing.assert_allclose(image, noise, atol=flows.TOLERANCE)


@pytest.mark.slow
def test_scan_of_a_chain_composes_its_parts_in_turn():
    # Each member: shift, then planar, then the inverse of radial.
    planar = flows.parameters("scan_planar", (BATCH_SIZE,))
    radial = flows.parameters("scan_radial", (BATCH_SIZE,), seed=1)
    shift = np.random.default_rng(2).normal(size=planar["u"].shape)
    variables = {
        "planar": {k: tf.Variable(v) for k, v in planar.items()},
        "radial": {k: tf.Variable(v) for k, v in radial.items()},
        "shift": tf.Variable(shift),
    }
    flow = Scan(
        tfb.Chain(
            [
                tfb.Invert(Radial(**variables["radial"])),
                Planar(**variables["planar"]),
                tfb.Shift(variables["shift"]),
            ]
        )
    )
    assert len(flow.trainable_variables) == 7
    posterior = tfd.TransformedDistribution(flows.base(), flow)
    assert posterior.batch_shape == [BATCH_SIZE]
    x = _points()
    y, log_prob = x, reference.base_log_prob(x)
    for k in range(flows.NUM_MEMBERS):
        y = y + shift[k]
        member = {key: value[k] for key, value in planar.items()}
        y, fldj = reference.forward("planar", y, member)
        log_prob -= fldj
        member = {key: value[k] for key, value in radial.items()}
        y = flows.pull_back("radial", y, member)
        log_prob += reference.forward("radial", y, member)[1]

    def evaluate(y):
        return flows.value_and_gradients(
            lambda: posterior.log_prob(y), [y, variables]
        )

    found, gradients = flows.in_all_modes(
        evaluate, tf.constant(y), modes=("xla",)
    )
    np.testing.assert_allclose(found, log_prob, atol=flows.TOLERANCE)
    flows.assert_gradients_are_usable(gradients)
    np.testing.assert_allclose(flow.forward(x), y, atol=flows.TOLERANCE)


@pytest.mark.parametrize("name", ["planar", "radial"])
def test_scan_of_an_invert_is_the_invert_of_the_reversed_scan(name):
    values = flows.parameters("scan_" + name, (BATCH_SIZE,))
    kind = {"planar": Planar, "radial": Radial}[name]
    flow = Scan(tfb.Invert(kind(**values)))
    reversed_scan = Scan(kind(**{k: v[::-1] for k, v in values.items()}))
    inverted = tfb.Invert(reversed_scan)
    y = tf.constant(_points())
    for quantity in ("forward", "inverse"):
        found = getattr(flow, quantity)(y)
        expected = getattr(inverted, quantity)(tf.identity(y))
        np.testing.assert_allclose(found, expected, atol=flows.TOLERANCE)
        log_det = f"{quantity}_log_det_jacobian"
        np.testing.assert_allclose(
            getattr(flow, log_det)(y, event_ndims=1),
            getattr(inverted, log_det)(tf.identity(y), event_ndims=1),
            atol=flows.TOLERANCE,
        )
