"""Tests of the fit of a flow to a two-dimensional target."""

import numpy as np
import pytest
import tensorflow as tf

from trainers.energies import fit as fit_target
from trainers.runs import errors


@pytest.fixture(scope="module")
def fit(tiny_config):
    return fit_target.TargetFit(tiny_config(jit_compile=False))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.target", "u9", "`target` must be one of u1, u2, u3, u4; got"),
        (
            "posterior.flow",
            "nice",
            "`flow` must be one of planar, radial, .*; got",
        ),
        ("posterior.num_flow_steps", 0, "must be positive; got 0"),
        ("posterior.initial_scale", -1.0, "must be positive; got -1.0"),
        ("training.num_steps", 0, "`training.num_steps` must be positive"),
        ("training.seed", -1, "must not be negative; got -1"),
        ("training.checkpoint_steps", 15, "a multiple of .* 10; got 15"),
        ("optimizer.global_clipnorm", -1.0, "must not be negative; got -1.0"),
    ],
)
def test_bad_value_in_a_config_is_refused(tiny_config, key, value, message):
    config = tiny_config()
    fit_target.check_config(config)
    group, name = key.split(".")
    config[group][name] = value
    with pytest.raises(errors.InputError, match=message):
        fit_target.check_config(config)


def test_weights_are_those_of_base_and_flow(fit):
    # loc and log_scale; u, w and b of each planar step.
    assert fit.num_parameters == 2 + 2 + 2 * (2 + 2 + 1)


def test_noise_depends_on_seed_step_and_purpose_only(tiny_config, fit):
    noise = fit._noise(8, 3, "training")
    again = fit_target.TargetFit(tiny_config(jit_compile=False))
    np.testing.assert_array_equal(noise, again._noise(8, 3, "training"))
    for other in (
        fit._noise(8, 4, "training"),
        fit._noise(8, 3, "evaluation"),
        fit_target.TargetFit(tiny_config(seed=1))._noise(8, 3, "training"),
    ):
        assert not np.any(np.equal(noise, other))


@pytest.mark.parametrize("flow", ["planar", "radial"])
def test_log_prob_agrees_with_the_sampling_direction(tiny_config, flow):
    config = tiny_config(f"flow={flow},K=3", jit_compile=False)
    fit = fit_target.TargetFit(config)
    for weight in fit.posterior.flow.weights:
        shift = np.random.default_rng(1).normal(size=weight.shape)
        weight.assign_add(0.3 * shift)
    z, log_prob = fit.posterior.sample_and_log_prob(fit._noise(100, 0, "test"))
    # Through NumPy: no cache can hand back what the forward pass knew.
    actual = fit.log_prob(tf.constant(z.numpy()))
    np.testing.assert_allclose(actual, log_prob, atol=1e-4)


def test_free_energy_is_the_mean_of_its_terms(fit):
    z, terms = fit.free_energy_terms(tf.constant(0))
    assert z.shape == [1_000, 2]
    expected = fit.log_prob(z) - fit.target.unnormalized_log_prob(z)
    np.testing.assert_allclose(terms, expected, atol=1e-4)


def test_chunks_of_steps_equal_single_steps(tiny_config):
    config = tiny_config(jit_compile=False)
    whole, parts = fit_target.TargetFit(config), fit_target.TargetFit(config)
    expected = whole.train_steps(10)
    actual = [parts.train_steps(count) for count in (1, 6, 3)]
    assert int(whole.step) == int(parts.step) == 10
    for name, values in expected.items():
        np.testing.assert_array_equal(
            np.concatenate([part[name] for part in actual]), values
        )
    for left, right in zip(
        whole.posterior.weights, parts.posterior.weights, strict=True
    ):
        np.testing.assert_array_equal(left, right)


def test_first_non_finite_step_stops_the_run(tiny_config):
    fit = fit_target.TargetFit(tiny_config(jit_compile=False))

    def break_down(step):
        norm = tf.where(step >= 16, np.nan, 1.0)
        return tf.where(step >= 13, np.inf, 1.0), norm

    fit._train_step = break_down
    assert list(fit.train_steps(10)["free_energy"]) == [1.0] * 10
    with pytest.raises(
        errors.NonFiniteError, match="`free_energy` .* got inf at step 14"
    ):
        fit.train_steps(10)


def test_learning_rate_warms_up_and_cools_down(tiny_config):
    config = tiny_config()
    config.optimizer.learning_rate = 0.5
    schedule = fit_target._make_optimizer(config)._learning_rate
    rates = [float(schedule(step)) for step in (0, 5, 20, 40)]
    assert rates[0] == 0.0
    assert rates[1] == pytest.approx(0.5)
    assert 0.0 < rates[2] < 0.5
    assert rates[3] == pytest.approx(0.0, abs=1e-6)
