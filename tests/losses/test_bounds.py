import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from tfp_flows.losses import (
    annealed_log_weights,
    elbo,
    free_energy,
    importance_weighted_bound,
    log_mean_exp,
    normalized_weights,
)

S, B = 7, 3


def _terms(num_samples=S):
    terms = np.random.default_rng(0).normal(size=(3, num_samples, B))
    return 50.0 * terms - 700.0


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_log_mean_exp(axis):
    x = _terms()[0]
    expected = special.logsumexp(x, axis=axis) - np.log(x.shape[axis])
    np.testing.assert_allclose(log_mean_exp(x, axis), expected)


def test_log_mean_exp_of_unknown_shape():
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float64)])
    def call(x):
        return log_mean_exp(x)

    x = _terms()[0]
    np.testing.assert_allclose(call(x), log_mean_exp(x))


def test_elbo_is_the_mean_of_the_log_weights_of_each_example():
    log_likelihood, log_prior, log_posterior = _terms()
    np.testing.assert_allclose(
        elbo(log_likelihood, log_prior, log_posterior),
        np.mean(log_likelihood + log_prior - log_posterior, axis=0),
    )


def test_importance_weighted_bound_pools_samples_and_not_examples():
    log_weights = annealed_log_weights(*_terms())
    expected = [
        special.logsumexp(log_weights[:, i]) - np.log(S) for i in range(B)
    ]
    bound = importance_weighted_bound(log_weights)
    np.testing.assert_allclose(bound, expected)
    assert np.all(bound > elbo(*_terms()))


def test_one_sample_gives_the_elbo():
    terms = _terms(num_samples=1)
    np.testing.assert_allclose(
        importance_weighted_bound(annealed_log_weights(*terms)), elbo(*terms)
    )


def test_normalized_weights_add_up_to_one_for_each_example():
    log_weights = _terms()[0]
    weights = normalized_weights(log_weights)
    np.testing.assert_allclose(np.sum(weights, axis=0), np.ones(B))
    np.testing.assert_allclose(
        weights[0] / weights[1], np.exp(log_weights[0] - log_weights[1])
    )


@pytest.mark.parametrize("importance_weighted", [False, True])
def test_free_energy_is_minus_the_annealed_bound(importance_weighted):
    log_likelihood, log_prior, log_posterior = _terms()
    log_weights = 0.5 * log_likelihood + 0.25 * log_prior - 2.0 * log_posterior
    if importance_weighted:
        expected = np.log(S) - special.logsumexp(log_weights, axis=0)
    else:
        expected = -log_weights.mean(axis=0)
    actual = free_energy(
        log_likelihood,
        log_prior,
        log_posterior,
        annealing=(0.5, 0.25, 2.0),
        importance_weighted=importance_weighted,
    )
    np.testing.assert_allclose(actual, expected)


def test_free_energy_without_annealing_is_minus_the_elbo():
    np.testing.assert_allclose(free_energy(*_terms()), -elbo(*_terms()))
