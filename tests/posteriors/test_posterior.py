"""What every posterior keeps, and that it is enough for a model to train."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.models import digits
from tests.posteriors.with_auxiliaries import (
    AuxiliaryPosterior,
    LeapfrogPosterior,
)
from tfp_flows import layers
from tfp_flows.losses import GRADIENT_ESTIMATORS, GradientScale
from tfp_flows.posteriors import FlowPosterior, Posterior
from tfp_flows.posteriors.priors import log_prior

B, C, D, K, S = 3, 4, 2, 2, 20_000
SIGMA = 0.8
MAP = np.array([[1.0, 0.5], [-0.3, 0.8], [0.2, 0.4]])  # x = MAP z + noise
FLOAT64 = {"dtype": "float64", "seed": 0}
POSTERIORS = {
    "gaussian": lambda: FlowPosterior(D, base="full", dtype="float64"),
    "planar": lambda: FlowPosterior(
        D, layers.PlanarFlow(K, **FLOAT64), dtype="float64"
    ),
    "iaf": lambda: FlowPosterior(
        D, layers.IAFFlow(K, (8,), **FLOAT64), dtype="float64"
    ),
    "spline_coupling": lambda: FlowPosterior(
        D, layers.SplineCouplingFlow(K, (8,), **FLOAT64), dtype="float64"
    ),
    "two_flows": lambda: FlowPosterior(
        D,
        [
            layers.NICEFlow(K, (8,), scaling=True, **FLOAT64),
            layers.RadialFlow(K, amortized=False, **FLOAT64),
        ],
        base="low_rank",
        dtype="float64",
    ),
    "auxiliary": lambda: AuxiliaryPosterior(
        D, 1, layers.PlanarFlow(K, **FLOAT64), dtype="float64"
    ),
    "leapfrog": lambda: LeapfrogPosterior(D, dtype="float64"),
}


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def _built(name):
    keras.utils.set_random_seed(0)
    posterior = POSTERIORS[name]()
    posterior.build((None, C))
    rng = np.random.default_rng(1)
    for weight in posterior.trainable_weights:
        weight.assign_add(0.08 * rng.normal(size=weight.shape))
    return posterior


X = 0.7 * _random(B, len(MAP), seed=2)


def _log_joint(z):
    error = (X - tf.linalg.matvec(MAP, z)) / SIGMA
    log_likelihood = log_prior(None, error) - len(MAP) * np.log(SIGMA)
    return log_likelihood + log_prior(None, z)


def _log_evidence():
    covariance = MAP @ MAP.T + SIGMA**2 * np.eye(len(MAP))
    return stats.multivariate_normal(cov=covariance).logpdf(X)


def _key(**kwargs):
    return {"seed": 0, "step": 0, "purpose": "test", **kwargs}


# The contract.


@pytest.mark.parametrize("name", POSTERIORS)
def test_mean_weight_is_the_evidence(name):
    posterior = _built(name)
    z, log_weight = posterior.sample_and_log_weight(
        posterior.noise(B, S, **_key()),
        posterior.parameters(0.25 * _random(B, C)),
        log_joint=_log_joint,
    )
    assert z.shape == [S, B, posterior.latent_size]
    assert log_weight.shape == [S, B]
    ratios = np.exp(_log_joint(z) + log_weight - _log_evidence())
    errors = ratios.std(axis=0) / np.sqrt(S)
    assert np.all(errors < 0.04)
    assert np.all(np.abs(ratios.mean(axis=0) - 1.0) < 4.5 * errors)
    # And none of them is the exact posterior, for which this says nothing.
    assert np.all(ratios.std(axis=0) > 0.1)


@pytest.mark.parametrize("name", POSTERIORS)
def test_noise_is_that_of_an_examples_row(name):
    posterior = _built(name)
    whole = posterior.noise(5, 3, **_key())
    assert whole.shape == [3, 5, posterior.noise_size]
    part = posterior.noise(2, 3, first_row=2, **_key())
    np.testing.assert_array_equal(part, whole[:, 2:4])
    for other in ({"seed": 1}, {"step": 1}, {"purpose": "other"}):
        assert np.all(posterior.noise(5, 3, **_key(**other)) != whole)


def _score_free(posterior, through):
    """z, log weight and its gradients without the score, by path."""
    weights = {w.path: w.value for w in posterior.trainable_weights}
    with tf.GradientTape() as tape:
        z, log_weight = posterior.sample_and_log_weight(
            posterior.noise(B, 2, **_key()),
            posterior.parameters(_random(B, C)),
            score=False,
            through=through,
        )
    return z, log_weight, tape.gradient(log_weight, weights)


@pytest.mark.parametrize("name", [n for n in POSTERIORS if n != "leapfrog"])
def test_without_score_only_the_reverse_model_has_a_gradient(name):
    """At fixed z and u; and the values are those with it."""
    posterior = _built(name)
    z, log_weight, gradients = _score_free(posterior, tf.stop_gradient)
    expected = posterior.sample_and_log_weight(
        posterior.noise(B, 2, **_key()), posterior.parameters(_random(B, C))
    )
    np.testing.assert_allclose(z, expected[0], rtol=1e-12)
    np.testing.assert_allclose(log_weight, expected[1], rtol=1e-12)
    for path, gradient in gradients.items():
        if "reverse" in path:
            assert np.all(gradient != 0), path
        else:
            assert gradient is None or not np.any(gradient), path
    assert name != "auxiliary" or any("reverse" in path for path in gradients)


def test_gradient_through_z_and_u_is_that_of_the_written_weight():
    posterior = _built("auxiliary")
    factors = _random(2, B, seed=5)
    scale = GradientScale()
    scale.set(factors)
    _, _, found = _score_free(posterior, scale)
    weights = {w.path: w.value for w in posterior.trainable_weights}
    context = tf.constant(_random(B, C))
    with tf.GradientTape() as tape:
        parameters = posterior.joint.parameters(context)
        both, _ = posterior.joint.push_forward(
            posterior.noise(B, 2, **_key()), parameters
        )
        factor = factors[..., np.newaxis]
        both = factor * both + (1.0 - factor) * tf.stop_gradient(both)
        q = posterior.joint.make_distribution(
            tf.nest.map_structure(tf.stop_gradient, parameters)
        )
        # Not the tensor that a bijector remembers.
        log_q = q.log_prob(tf.identity(both))
        log_r = posterior.log_reverse(both[..., D:], both[..., :D], context)
        log_weight = log_r - log_q
    for path, expected in tape.gradient(log_weight, weights).items():
        np.testing.assert_allclose(
            found[path], expected, rtol=1e-7, atol=1e-9, err_msg=path
        )


# What is asked of a subclass, and what a density may be used for.


def test_base_is_abstract():
    with pytest.raises(TypeError, match="abstract.*sample_and_log_weight"):
        Posterior()


def test_no_density_is_said_with_the_bound_to_use():
    posterior = _built("auxiliary")
    context = _random(B, C)
    for ask in (posterior.distribution, lambda c: posterior.log_prob(X, c)):
        with pytest.raises(
            NotImplementedError,
            match="`AuxiliaryPosterior` has no density.*"
            "integral over auxiliary variables.*`log_marginal_likelihood`",
        ):
            ask(context)


# In a model.


def _model(posterior, **kwargs):
    return digits.compiled(posterior=posterior, **kwargs)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", GRADIENT_ESTIMATORS)
def test_protocol_is_enough_for_a_model(estimator, tmp_path):
    x = digits.images(200)
    model = _model(
        AuxiliaryPosterior(3, 2, layers.PlanarFlow(K, seed=0)),
        gradient_estimator=estimator,
        num_importance_samples=1 + (estimator == "doubly_reparameterized"),
    )
    model.build((None, 8, 8))
    before = {w.path: w.numpy() for w in model.trainable_weights}
    start = model.evaluate(x, verbose=0, return_dict=True)
    assert {"auxiliary_elbo", "auxiliary_kl"} < set(start)
    assert not {"elbo", "kl"} & set(start)
    start = start["auxiliary_elbo"]
    model.fit(x, batch_size=20, epochs=5, verbose=0)
    for weight in model.trainable_weights:
        assert np.any(weight.numpy() != before[weight.path]), weight.path
    terms = model.bounds(x, 50)
    bound = terms["auxiliary_elbo"].mean()
    assert bound > start + 5.0
    estimate = model.log_marginal_likelihood(
        x, 50, verbose=0, jit_compile=False
    )
    assert bound < estimate.mean < bound + 5.0
    assert model.posterior_mean(x).shape == (200, 3)
    assert model.reconstruct(x).shape == model.predict(x, verbose=0).shape
    with pytest.raises(NotImplementedError, match="`AuxiliaryPosterior` has"):
        model.posterior_distribution(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name, values in loaded.bounds(x, 50).items():
        np.testing.assert_allclose(values, terms[name], rtol=1e-5, atol=1e-5)


class _AskingPosterior(FlowPosterior):
    """Keeps what it is told of `log p(x, z)`."""

    def sample_and_log_weight(self, *args, log_joint=None, **kwargs):
        z, log_weight = super().sample_and_log_weight(*args, **kwargs)
        self.__dict__["heard"] = z, log_joint(z)
        return z, log_weight


@pytest.mark.parametrize("use", ["test_on_batch", "reconstruct", "__call__"])
def test_posterior_is_handed_the_joint(use):
    model = _model(_AskingPosterior(3), run_eagerly=True)
    x = tf.constant(digits.images(4))
    model.build((None, 8, 8))
    getattr(model, use)(x)
    z, log_joint = model.posterior.heard
    expected = model.log_likelihood(x, z) + model.log_prior(z)
    np.testing.assert_allclose(log_joint, expected, rtol=1e-5)
