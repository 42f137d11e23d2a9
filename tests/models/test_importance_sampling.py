"""The estimate of log p(x): its accounting. Its exactness: test_exactness."""

import math

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.models.digits import images, model
from tfp_flows.layers import MLP
from tfp_flows.losses import LogTerms
from tfp_flows.math import noise
from tfp_flows.models import LogMarginalLikelihood, importance_sampling
from tfp_flows.posteriors import FlowPosterior


@pytest.fixture(scope="module")
def dlgm():
    built = model()
    built.build((None, 8, 8))
    for weight in built.trainable_weights:
        values = np.random.default_rng(0).normal(0, 0.2, weight.shape)
        weight.assign_add(values)
    return built


def _log_weights(dlgm, x, num_samples, samples_per_chunk, seed=0):
    """`[S, N]`, of the same noise, all at once."""
    chunks = []
    for chunk in range(-(-num_samples // samples_per_chunk)):
        rows = noise.normal_rows(
            len(x),
            (samples_per_chunk, 3),
            seed=seed,
            step=chunk,
            purpose="log marginal likelihood",
        )
        z, log_q = dlgm.posterior.push_forward(
            tf.transpose(rows, [1, 0, 2]), dlgm.encode(x)
        )
        log_p = dlgm.log_likelihood(x, z) + dlgm.log_prior(z)
        chunks.append(log_p - log_q)
    return np.concatenate(chunks).astype(np.float64)[:num_samples]


@pytest.mark.parametrize("num_samples", [1, 7, 10, 23])
@pytest.mark.parametrize("batch_size", [4, 100])
def test_estimate_and_standard_error(dlgm, num_samples, batch_size):
    x = images(10)
    result = dlgm.log_marginal_likelihood(
        x,
        num_samples,
        samples_per_chunk=5,
        batch_size=batch_size,
        jit_compile=False,
        verbose=0,
    )
    chunk = min(5, num_samples)
    log_weights = _log_weights(dlgm, tf.constant(x), num_samples, chunk)
    expected = scipy.special.logsumexp(log_weights, axis=0)
    expected -= np.log(num_samples)
    np.testing.assert_allclose(result.estimates, expected, rtol=1e-5)
    assert result.mean == pytest.approx(expected.mean(), rel=1e-5)
    assert result.standard_error == pytest.approx(
        expected.std(ddof=1) / np.sqrt(10), rel=1e-4
    )
    if num_samples == 1:
        assert np.isnan(result.standard_errors).all()
        return
    weights = np.exp(log_weights - expected)
    np.testing.assert_allclose(
        result.standard_errors,
        weights.std(axis=0, ddof=1) / np.sqrt(num_samples),
        rtol=1e-3,
    )


def test_all_seeds_share_what_was_compiled(dlgm):
    x = images(4)
    for seed in (3, 2**31 - 1):
        found = dlgm.log_marginal_likelihood(
            x, 7, samples_per_chunk=7, seed=seed, verbose=0
        ).estimates
        log_weights = _log_weights(dlgm, tf.constant(x), 7, 7, seed)
        expected = scipy.special.logsumexp(log_weights, axis=0) - math.log(7)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    (of_sevens,) = (
        functions
        for key, functions in dlgm.compiled_functions.items()
        if 7 in key
    )
    assert [f.experimental_get_tracing_count() for f in of_sevens] == [1, 1, 1]


@pytest.mark.parametrize("batch_size", [4, 100])
def test_bounds_are_means_over_samples(dlgm, batch_size):
    x, num_samples = images(10), 106  # two chunks of 53 do not fit, 53 of 2 do
    found = dlgm.bounds(x, num_samples, batch_size=batch_size, seed=2)
    kl, reconstruction = [], []
    for chunk in range(53):
        rows = noise.normal_rows(
            len(x), (2, 3), seed=2, step=chunk, purpose="test elbo"
        )
        z, log_q = dlgm.posterior.push_forward(
            tf.transpose(rows, [1, 0, 2]), dlgm.encode(tf.constant(x))
        )
        kl.append(log_q - dlgm.log_prior(z))
        reconstruction.append(dlgm.log_likelihood(tf.constant(x), z))
    kl, reconstruction = (
        np.concatenate(terms).astype(np.float64).mean(axis=0)
        for terms in (kl, reconstruction)
    )
    assert set(found) == {"elbo", "kl", "reconstruction"}
    np.testing.assert_allclose(found["kl"], kl, rtol=1e-5)
    np.testing.assert_allclose(found["reconstruction"], reconstruction, 1e-5)
    np.testing.assert_allclose(found["elbo"], reconstruction - kl, rtol=1e-5)
    with pytest.raises(ValueError, match="`num_samples` must be .* got 0"):
        dlgm.bounds(x, 0)


def test_posterior_mean_of_a_gaussian():
    gaussian = model(posterior=FlowPosterior(3))
    gaussian.build((None, 8, 8))
    x = images(5)
    np.testing.assert_allclose(
        gaussian.posterior_mean(x.reshape(5, 64)),
        gaussian.posterior_distribution(x).mean(),
        rtol=1e-6,
    )


class CountingEncoder(MLP):
    """Counts the rows that it encodes."""

    def __init__(self):
        super().__init__([16])
        self.rows = tf.Variable(0)

    def call(self, inputs):
        self.rows.assign_add(tf.shape(inputs)[0])
        return super().call(inputs)


def test_each_image_is_encoded_once():
    dlgm = model(encoder=CountingEncoder())
    dlgm.build((None, 8, 8))
    dlgm.encoder.rows.assign(0)
    dlgm.log_marginal_likelihood(
        images(12), 50, batch_size=4, samples_per_chunk=5, jit_compile=False
    )
    assert int(dlgm.encoder.rows) == 12


def test_progress_bar(dlgm, capsys):
    dlgm.log_marginal_likelihood(images(3), 2, jit_compile=False)
    assert "3/3" in capsys.readouterr().out
    dlgm.log_marginal_likelihood(images(3), 2, jit_compile=False, verbose=0)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["num_importance_samples", "batch_size", "samples_per_chunk"]
)
def test_bad_numbers(dlgm, name):
    with pytest.raises(
        ValueError, match=f"`{name}` must be an integer >= 1; got 0"
    ):
        dlgm.log_marginal_likelihood(images(3), **{name: 0})


def test_images_of_density_zero_have_log_p_minus_infinity():
    zero = tf.constant([[-math.inf, -math.inf], [-math.inf, 0.0]])
    terms = LogTerms(zero, 0.0, 0.0)
    weights = importance_sampling._no_weights(2)
    for _ in range(2):
        weights = importance_sampling._add_weights(
            weights, terms, tf.ones([2], bool)
        )
    weights = importance_sampling._Weights(*(w.numpy() for w in weights))
    estimates, errors = importance_sampling._log_mean(weights, 4)
    np.testing.assert_allclose(estimates, [-math.inf, math.log(0.5)])
    # The weights are 0, 0, 1, 1.
    np.testing.assert_allclose(errors, [math.nan, math.sqrt(1 / 3)])


def test_one_image_has_no_standard_error_of_the_mean():
    one = LogMarginalLikelihood(np.array([-1.0]), np.array([0.1]), 10)
    assert one.mean == -1.0
    assert math.isnan(one.standard_error)


def test_estimates_print_as_a_sentence():
    two = LogMarginalLikelihood(np.array([-1.0, -2.0]), np.array([0.1] * 2), 10)
    assert str(two) == (
        "log p(x) -1.500 ± 0.500 nats per example, over 2 with 10 importance "
        "samples each"
    )
    one = LogMarginalLikelihood(np.array([-1.0]), np.array([0.1]), 10)
    assert str(one).startswith("log p(x) -1.000 nats per example, over 1 with")
