"""Surrogates whose density is an integral, on models that are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.vi import models
from tfp_flows import layers, posteriors, vi

tfd = tfp.distributions

# Counts of a rate that is Gamma(3, 1) a priori: the evidence is known.
COUNTS = np.array([2.0, 4.0, 3.0])


def _rate_model():
    def number(value):
        return tf.constant(value, tf.float64)

    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        yield tfd.Sample(tfd.Normal(number(0.0), 1.0), 2, name="noise")
        rate = yield tfd.Gamma(number(3.0), number(1.0), name="rate")
        yield tfd.Sample(tfd.Poisson(rate), 3, name="counts")

    return model.experimental_pin(counts=COUNTS)


def _log_evidence():
    total = COUNTS.sum()
    log_factorials = tf.reduce_sum(tf.math.lgamma(COUNTS + 1.0)).numpy()
    log_gamma = tf.math.lgamma(tf.constant([3.0 + total, 3.0], tf.float64))
    return float(
        log_gamma[0]
        - log_gamma[1]
        - (3.0 + total) * np.log(4.0)
        - log_factorials
    )


POSTERIORS = {
    "cif": lambda **kwargs: posteriors.CIFPosterior(
        3,
        layers.IAFFlow(1, (8,), seed=0, **kwargs),
        1,
        base="full",
        identity_start=True,
        num_auxiliary_samples=4,
        **kwargs,
    ),
    "hamiltonian": lambda **kwargs: posteriors.HamiltonianPosterior(
        posteriors.FlowPosterior(3, base="full", **kwargs), num_bridges=3
    ),
}


def surrogate(name):
    keras.utils.set_random_seed(0)
    return vi.build_auxiliary_surrogate_posterior(
        _rate_model(), POSTERIORS[name](dtype="float64")
    )


# A reverse model that is not exact has weights with a longer tail.
LARGEST_K_HAT = {"cif": 1.0, "hamiltonian": 0.7}


@pytest.mark.filterwarnings("ignore:.*has a k-hat of")
@pytest.mark.parametrize("name", POSTERIORS)
def test_fit_comes_near_the_evidence_from_below(name):
    model, q = _rate_model(), surrogate(name)
    before = [v.numpy() for v in q.trainable_variables]
    result = vi.fit(
        model,
        q,
        num_steps=250,
        num_draws=32,
        learning_rate=0.05,
        num_evaluation_draws=4_000,
        verbose=False,
    )
    error = 4.0 * result.elbo_standard_error
    assert _log_evidence() - 0.1 < result.elbo < _log_evidence() + error
    assert result.k_hat < LARGEST_K_HAT[name]
    for old, variable in zip(before, q.trainable_variables, strict=True):
        assert np.abs(variable.numpy() - old).max() > 1e-5, variable.name
    evidence = vi.log_evidence(model, q, 4_000)
    assert abs(evidence.log_evidence - _log_evidence()) < (
        4.0 * evidence.standard_error
    )
    assert evidence.standard_error < 0.02
    # The posterior of the rate is Gamma(12, 4), the noise stays what it was.
    for draws in (
        q.sample(4_000, seed=1),
        vi.importance_resample(model, q, 4_000, num_proposals=8_000).draws,
    ):
        assert draws._fields == ("noise", "rate")
        np.testing.assert_allclose(np.mean(draws.rate), 3.0, atol=0.1)
        np.testing.assert_allclose(np.std(draws.rate), 0.866, atol=0.1)
        np.testing.assert_allclose(np.std(draws.noise), 1.0, atol=0.1)
        assert np.min(draws.rate) > 0.0


@pytest.mark.slow
def test_equal_seeds_give_equal_results():
    elbos = [
        vi.fit(
            _rate_model(),
            vi.build_auxiliary_surrogate_posterior(
                _rate_model(), posteriors.FlowPosterior(3, dtype="float64")
            ),
            num_steps=3,
            num_evaluation_draws=50,
            seed=seed,
            verbose=False,
        ).elbo
        for seed in (1, 1, 2)
    ]
    assert elbos[0] == elbos[1] != elbos[2]


@pytest.mark.parametrize(
    ("posterior", "error", "message"),
    [
        (layers.MLP([3]), TypeError, "`posterior` must be a posterior layer"),
        (
            posteriors.FlowPosterior(2, dtype="float64"),
            ValueError,
            "number of the model's unconstrained variables, 3; got 2",
        ),
        (
            posteriors.FlowPosterior(3),
            ValueError,
            "`posterior` must have the model's dtype, float64; got float32",
        ),
    ],
)
def test_bad_posteriors(posterior, error, message):
    with pytest.raises(error, match=message):
        vi.build_auxiliary_surrogate_posterior(_rate_model(), posterior)


def test_chains_need_a_density():
    with pytest.raises(ValueError, match="`surrogate` must be one that `build"):
        vi.neutra(_rate_model(), surrogate("hamiltonian"), 10)


def test_bad_models_are_refused_as_for_other_surrogates():
    with pytest.raises(ValueError, match="`model` must have its observed"):
        vi.build_auxiliary_surrogate_posterior(
            models.schools(), posteriors.FlowPosterior(10)
        )


@pytest.mark.parametrize(
    "posterior",
    [
        lambda: posteriors.FlowPosterior(2),
        lambda: posteriors.HamiltonianPosterior(posteriors.FlowPosterior(2), 1),
    ],
    ids=["flow", "hamiltonian"],
)
@pytest.mark.parametrize(
    ("log_prob", "error", "message"),
    [
        (lambda z: z, ValueError, "`model` must return"),
        (
            lambda z: tf.reduce_sum(z, -1) + tf.zeros([], tf.float64),
            TypeError,
            "`model` must compute in the dtype",
        ),
    ],
    ids=["shape", "dtype"],
)
def test_bad_functions_are_refused_before_training(
    posterior, log_prob, error, message
):
    """Also where the draws themselves need the model."""
    q = vi.build_auxiliary_surrogate_posterior(
        log_prob, posterior(), event_shape=[2]
    )
    with pytest.raises(error, match=message):
        vi.fit(log_prob, q, num_steps=2, verbose=False)


def test_draws_are_made_in_parts():
    """More than one part; the first of them are those of fewer draws."""
    q = surrogate("cif")
    draws = q.sample(5_003, seed=3)
    assert draws.noise.shape == (5_003, 2)
    assert len(np.unique(draws.rate)) == 5_003
    np.testing.assert_allclose(q.sample(5_000, seed=3).rate, draws.rate[:5_000])
    with pytest.raises(ValueError, match="`num_draws` must be"):
        q.sample(0)
