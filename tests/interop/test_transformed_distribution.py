"""One flow per example: the contracts of `tfd.TransformedDistribution`."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.interop import flows, reference

tfd = tfp.distributions

pytestmark = pytest.mark.parametrize("name", flows.NAMES)

BATCH_SIZE = 4
NUM_SAMPLES = 1000


def test_scalar_batch_base_takes_the_batch_shape_of_the_flow(name):
    posterior = flows.posterior(name, flows.parameters(name, (BATCH_SIZE,)))
    assert posterior.batch_shape == [BATCH_SIZE]
    assert posterior.event_shape == [flows.EVENT_SIZE]
    np.testing.assert_array_equal(posterior.batch_shape_tensor(), [BATCH_SIZE])
    sample = posterior.sample(seed=1)
    assert sample.shape == [BATCH_SIZE, flows.EVENT_SIZE]
    assert posterior.log_prob(sample).shape == [BATCH_SIZE]
    # One point, seen by every flow of the batch.
    assert posterior.log_prob(sample[0]).shape == [BATCH_SIZE]
    assert posterior.log_prob(sample[:, tf.newaxis]).shape == [
        BATCH_SIZE,
        BATCH_SIZE,
    ]


def test_every_example_has_noise_of_its_own(name):
    values = flows.parameters(name, (BATCH_SIZE,))
    y = flows.posterior(name, values).sample(NUM_SAMPLES, seed=(1, 2))
    x = flows.pull_back(name, y, values)
    flows.assert_standard_normal(x.reshape(NUM_SAMPLES, -1))
    # Points that no sampler has made: the density of every example's flow.
    y = tf.constant(y.numpy()[:5])
    np.testing.assert_allclose(
        flows.posterior(name, values).log_prob(y),
        reference.log_prob(name, x[:5], values),
        atol=flows.TOLERANCE,
    )


def test_slice_is_the_flow_of_that_example(name):
    parameters = flows.variables(name, (BATCH_SIZE,))
    posterior = flows.posterior(name, parameters)
    y = tf.constant(
        np.random.default_rng(7).normal(size=(5, BATCH_SIZE, flows.EVENT_SIZE))
    )
    whole = posterior.log_prob(y).numpy()
    for chosen in (2, slice(1, 3), slice(None, None, 2)):
        part = posterior[chosen]
        np.testing.assert_array_equal(
            part.batch_shape, np.empty(BATCH_SIZE)[chosen].shape
        )
        np.testing.assert_allclose(
            part.log_prob(tf.identity(y[:, chosen])),
            whole[:, chosen],
            atol=flows.TOLERANCE,
        )
    expanded = posterior[tf.newaxis, ..., -1]
    assert expanded.batch_shape == [1]
    np.testing.assert_allclose(
        expanded.log_prob(y[:, -1:]), whole[:, -1:], atol=flows.TOLERANCE
    )


def test_copy_replaces_one_part(name):
    posterior = flows.posterior(name, flows.parameters(name, (BATCH_SIZE,)))
    other_values = flows.parameters(name, (BATCH_SIZE,), seed=1)
    other = posterior.copy(bijector=flows.bijector(name, other_values))
    x = np.random.default_rng(7).normal(size=(BATCH_SIZE, flows.EVENT_SIZE))
    y, _ = reference.forward(name, x, other_values)
    np.testing.assert_allclose(
        other.log_prob(y),
        reference.log_prob(name, x, other_values),
        atol=flows.TOLERANCE,
    )
    shifted = posterior.copy(
        distribution=tfd.MultivariateNormalDiag(
            np.ones(flows.EVENT_SIZE), 2.0 * np.ones(flows.EVENT_SIZE)
        )
    )
    y = tf.constant(y)
    ildj = posterior.bijector.inverse_log_det_jacobian(y, event_ndims=1)
    expected = (
        reference.base_log_prob(
            (posterior.bijector.inverse(y).numpy() - 1.0) / 2.0
        )
        - flows.EVENT_SIZE * np.log(2.0)
        + ildj
    )
    np.testing.assert_allclose(
        shifted.log_prob(y), expected, atol=flows.TOLERANCE
    )


def test_sample_and_log_prob_takes_the_forward_pass_alone(name, monkeypatch):
    values = flows.parameters(name, (BATCH_SIZE,))
    forward_only = flows.posterior(name, values)

    def fail(*_):
        raise AssertionError("the inverse was computed")

    monkeypatch.setattr(forward_only.bijector, "_inverse_and_log_det", fail)
    with pytest.raises(AssertionError, match="the inverse was computed"):
        forward_only.log_prob(np.ones(flows.EVENT_SIZE))
    for mode in ("eager", "xla"):
        draw = flows.compiled(
            lambda: forward_only.experimental_sample_and_log_prob(
                5, seed=(1, 2)
            ),
            mode,
        )
        y, log_prob = draw()
        x = flows.pull_back(name, y, values)
        np.testing.assert_allclose(
            log_prob,
            reference.log_prob(name, x, values),
            atol=flows.TOLERANCE,
        )
