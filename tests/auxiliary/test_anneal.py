"""Annealing behind distributions of TFP."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.auxiliary import anneal
from tfp_flows.bijectors import Planar
from tfp_flows.targets import get

tfb, tfd = tfp.bijectors, tfp.distributions

U1 = get("u1")
LOG_PROB = U1.unnormalized_log_prob
DOUBLE = np.float64


def _gaussian(scale=1.6):
    return tfd.MultivariateNormalDiag(
        np.zeros(2, DOUBLE), np.full(2, scale, DOUBLE)
    )


def _planar():
    return tfd.TransformedDistribution(
        _gaussian(),
        Planar(DOUBLE([0.5, 1.0]), DOUBLE([1.0, -0.5]), DOUBLE(0.1)),
    )


def _ratios(num_samples, surrogate=None, **settings):
    """Importance weights over the evidence, and the gap of the bound."""
    settings = {"num_bridges": 4, "step_size": 0.25, "seed": 7, **settings}

    @tf.function(autograph=False)
    def draw():
        z, log_weight = anneal(
            LOG_PROB,
            surrogate or _gaussian(),
            sample_shape=num_samples,
            **settings,
        )
        return LOG_PROB(z) + log_weight - U1.log_normalizer

    log_ratios = draw().numpy()
    return np.exp(log_ratios), log_ratios


TEMPERED = {
    "persistence": 1.0,
    "betas": [1.0] * 4,
    "tempering": [0.9, 0.8, 0.9, 0.95],
}
SETTINGS = {
    "base": {"num_bridges": 0},
    "langevin": {"persistence": 0.0},
    "uncorrected_hamiltonian": {"persistence": 0.9},
    "many_leapfrog_steps": {"num_leapfrog_steps": 3},
    "tempered": TEMPERED,
    "step_per_bridge": {"step_size": np.linspace(0.1, 0.4, 8).reshape(4, 2)},
    "uneven_betas": {"betas": [0.1, 0.2, 0.7, 1.0]},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_mean_weight_is_the_evidence(name):
    ratios, log_ratios = _ratios(20_000, **SETTINGS[name])
    error = ratios.std() / np.sqrt(len(ratios))
    assert error < 0.05
    assert np.abs(ratios.mean() - 1.0) < 4.0 * error
    assert log_ratios.mean() < 0.0


@pytest.mark.slow
@pytest.mark.parametrize("surrogate", [_gaussian, _planar])
@pytest.mark.parametrize("name", SETTINGS)
def test_mean_of_many_weights_is_the_evidence(name, surrogate):
    chunks = [
        _ratios(100_000, surrogate(), **{**SETTINGS[name], "seed": seed})[0]
        for seed in range(10 if surrogate is _gaussian else 1)
    ]
    ratios = np.concatenate(chunks)
    error = ratios.std() / np.sqrt(len(ratios))
    assert error < 0.02
    assert np.abs(ratios.mean() - 1.0) < 4.0 * error


def test_bridges_raise_the_bound():
    gaps = [
        -_ratios(4_000, num_bridges=k, step_size=0.35)[1].mean()
        for k in (0, 2, 8)
    ]
    assert gaps[0] > gaps[1] + 0.3 > gaps[2] + 0.6 > 0.6


def test_shapes_are_those_of_samples_and_batch():
    surrogate = tfd.MultivariateNormalDiag(tf.zeros([3, 2]))
    z, log_weight = anneal(
        LOG_PROB,
        surrogate,
        num_bridges=2,
        step_size=0.1,
        sample_shape=[4, 5],
        seed=0,
    )
    assert z.shape == [4, 5, 3, 2]
    assert log_weight.shape == [4, 5, 3]
    # Every sample has noise of its own.
    assert len(np.unique(log_weight)) == 60


@pytest.mark.slow
def test_variables_are_learned_by_an_optimisation_loop():
    loc, log_scale, log_step = (
        tf.Variable(np.full(2, x, DOUBLE)) for x in (0.3, 0.0, -2.5)
    )
    logits = tf.Variable(np.zeros(4, DOUBLE))
    variables = [loc, log_scale, log_step, logits]

    @tf.function(autograph=False, jit_compile=True)
    def loss_and_gradients(seed):
        with tf.GradientTape() as tape:
            z, log_weight = anneal(
                LOG_PROB,
                tfd.MultivariateNormalDiag(loc, tf.exp(log_scale)),
                num_bridges=4,
                step_size=tf.exp(log_step),
                betas=tf.cumsum(tf.nn.softmax(logits)),
                sample_shape=64,
                seed=seed,
            )
            loss = -tf.reduce_mean(LOG_PROB(z) + log_weight)
        return loss, tape.gradient(loss, variables)

    losses = []
    for i in range(150):
        loss, gradients = loss_and_gradients(tf.constant([i, 0]))
        losses.append(float(loss))
        for variable, gradient in zip(variables, gradients, strict=True):
            assert np.all(gradient != 0)
            variable.assign_sub(0.03 * gradient)
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) - 0.5
    assert np.mean(losses[-20:]) > -U1.log_normalizer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_bridges": -1}, "`num_bridges` must be an integer >= 0"),
        ({"num_leapfrog_steps": 0}, "`num_leapfrog_steps` must be .* >= 1"),
        ({"persistence": 1.5}, "`persistence` must be from 0 to 1; got 1.5"),
        ({"tempering": [1.0] * 4}, "`persistence` must be 1 with `tempering`"),
        ({"betas": [0.5, 1.0]}, r"`betas` must have shape .*\[4\]; got \(2,\)"),
        (
            {"persistence": 1.0, "tempering": [1.0]},
            r"`tempering` must have shape .*\[4\]; got \(1,\)",
        ),
        ({"step_size": [0.1] * 3}, r"`step_size` must have shape .*\(3,\)"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    settings = {"num_bridges": 4, "step_size": 0.1, "seed": 0, **arguments}
    with pytest.raises(ValueError, match=message):
        anneal(LOG_PROB, _gaussian(), **settings)


def test_scalar_distribution_is_refused():
    with pytest.raises(ValueError, match="`surrogate_posterior` must be over"):
        anneal(
            LOG_PROB, tfd.Normal(0.0, 1.0), num_bridges=1, step_size=1.0, seed=0
        )
