"""Flows inside Sample, Independent and MixtureSameFamily."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from tests.interop import flows, reference

tfd = tfp.distributions

BATCH_SIZE = 3
NUM_COMPONENTS = 2
PROBS = np.array([0.3, 0.7])
NUM_SAMPLES = 1000


def sample(posterior):
    """Several points of each flow."""
    return tfd.Sample(posterior, sample_shape=[4])


def independent(posterior):
    """One point of each flow of a batch."""
    return tfd.Independent(posterior, reinterpreted_batch_ndims=1)


def mixture(posterior):
    """A point of one flow of a batch, drawn by `PROBS`."""
    return tfd.MixtureSameFamily(
        mixture_distribution=tfd.Categorical(probs=PROBS),
        components_distribution=posterior,
    )


def nested(posterior):
    """All of them, around flows with batch shape `[B, NUM_COMPONENTS]`."""
    return independent(sample(mixture(posterior)))


# Wrapper, batch shape of the flows, event shape of the result.
WRAPPERS = {
    "sample": (sample, (), (4,)),
    "independent": (independent, (BATCH_SIZE,), (BATCH_SIZE,)),
    "mixture": (mixture, (NUM_COMPONENTS,), ()),
    "nested": (nested, (BATCH_SIZE, NUM_COMPONENTS), (BATCH_SIZE, 4)),
}


def _wrapped(name, wrapper):
    """Parameters, the distribution, and five points `[5, ..., D]`."""
    wrap, batch_shape, event_shape = WRAPPERS[wrapper]
    event_shape = (*event_shape, flows.EVENT_SIZE)
    parameters = flows.variables(name, batch_shape)
    distribution = wrap(flows.posterior(name, parameters))
    assert len(distribution.trainable_variables) == len(parameters)
    assert distribution.batch_shape == []
    assert distribution.event_shape == event_shape
    y = np.random.default_rng(7).normal(size=(5, *event_shape))
    return parameters, distribution, y


def _expected_log_prob(name, wrapper, y, values):
    """The log density at `y`, from the formulas."""
    if wrapper == "nested":
        # [5, B, 4, D] -> [4, 5, B, D]; the flows are [B, components].
        y = np.moveaxis(y, 2, 0)
    if wrapper in ("mixture", "nested"):
        # Each component maps another point to y.
        y = np.repeat(y[..., np.newaxis, :], NUM_COMPONENTS, axis=-2)
    log_probs = reference.log_prob(
        name, flows.pull_back(name, y, values), values
    )
    if wrapper in ("mixture", "nested"):
        log_probs = special.logsumexp(log_probs, b=PROBS, axis=-1)
    if wrapper == "nested":
        log_probs = np.sum(log_probs, axis=0)
    return log_probs if wrapper == "mixture" else np.sum(log_probs, axis=-1)


def _evaluate(distribution, y, parameters):
    return flows.value_and_gradients(
        lambda: distribution.log_prob(y), [y, parameters]
    )


@pytest.mark.parametrize("name", flows.NAMES)
@pytest.mark.parametrize("wrapper", ["sample", "independent", "mixture"])
def test_log_prob_and_its_gradients(name, wrapper):
    parameters, distribution, y = _wrapped(name, wrapper)
    log_prob, gradients = _evaluate(distribution, tf.constant(y), parameters)
    np.testing.assert_allclose(
        log_prob,
        _expected_log_prob(name, wrapper, y, parameters),
        atol=flows.TOLERANCE,
    )
    flows.assert_gradients_are_usable(gradients)


@pytest.mark.parametrize("name", flows.COSTLY_NAMES)
def test_log_prob_and_its_gradients_in_all_modes(name):
    parameters, distribution, y = _wrapped(name, "nested")
    log_prob, gradients = flows.in_all_modes(
        lambda y: _evaluate(distribution, y, parameters), tf.constant(y)
    )
    np.testing.assert_allclose(
        log_prob,
        _expected_log_prob(name, "nested", y, parameters),
        atol=flows.TOLERANCE,
    )
    flows.assert_gradients_are_usable(gradients)


@pytest.mark.parametrize("name", flows.NAMES)
def test_samples_under_xla_are_images_of_independent_noise(name):
    values = flows.parameters(name, (BATCH_SIZE,))
    distribution = independent(sample(flows.posterior(name, values)))
    draw = flows.compiled(
        lambda: distribution.sample(NUM_SAMPLES, seed=(1, 2)), "xla"
    )
    y = draw()
    assert y.shape == [NUM_SAMPLES, BATCH_SIZE, 4, flows.EVENT_SIZE]
    x = flows.pull_back(name, np.moveaxis(y, 2, 1), values)
    flows.assert_standard_normal(x.reshape(NUM_SAMPLES, -1))


@pytest.mark.parametrize("name", flows.COSTLY_NAMES)
def test_samples_of_a_mixture_under_xla_have_its_mean(name):
    values = flows.parameters(name, (NUM_COMPONENTS,))
    distribution = mixture(flows.posterior(name, values))
    draw = flows.compiled(
        lambda: distribution.sample(NUM_SAMPLES, seed=(1, 2)), "xla"
    )
    y = draw().numpy()
    noise = np.random.default_rng(3).normal(size=(20_000, 1, flows.EVENT_SIZE))
    images, _ = reference.forward(name, noise, values)
    expected = np.einsum("k,nkd->d", PROBS, images) / len(noise)
    standard_error = np.std(y, axis=0) / np.sqrt(NUM_SAMPLES)
    assert np.all(np.abs(np.mean(y, axis=0) - expected) < 5.0 * standard_error)
