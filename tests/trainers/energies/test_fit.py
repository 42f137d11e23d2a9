"""Tests of the fit of a flow to a two-dimensional target."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import targets
from trainers.energies.experiment import checked_target
from trainers.energies.fit import EnergyModel, EnergyRun
from trainers.runs import errors, optimizers, train_steps


def make_model(config):
    return EnergyModel(config, targets.get(config.data.target))


def make_run(config):
    return EnergyRun(config, targets.get(config.data.target))


@pytest.fixture(scope="module")
def model(tiny_config):
    return make_model(tiny_config(jit_compile=False))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.target", "u9", "`target` must be one of u1, .*; got 'u9'"),
        (
            "posterior.flow",
            "nice",
            "`posterior.flow` must be one of none, planar, .*; got 'nice'",
        ),
        ("posterior.num_flow_steps", 0, "must be at least 1; got 0"),
        ("posterior.initial_scale", -1.0, "must be positive .*; got -1.0"),
        ("posterior.name", "vae", "one of flow, cif, .*; got 'vae'"),
        ("posterior.base", "round", "one of diagonal, .*; got 'round'"),
        ("posterior.persistence", 1.5, "must be from 0 to 1; got 1.5"),
        ("training.gradient_estimator", "x", "one of repara.*; got 'x'"),
        ("training.num_steps", 0, "`training.num_steps` must be at least 1"),
        ("training.seed", -1, "must not be negative, .*; got -1"),
        ("training.log_steps", 0, "must be at least 1; got 0"),
        (
            "optimizer.global_clipnorm",
            -1.0,
            "must not be negative, .*; got -1.0",
        ),
    ],
)
def test_bad_value_in_a_config_is_refused(tiny_config, key, value, message):
    config = tiny_config()
    checked_target(config)
    group, name = key.split(".")
    config[group][name] = value
    with pytest.raises(errors.InputError, match=message):
        checked_target(config)


def test_weights_are_those_of_base_and_flow(tiny_config):
    run = make_run(tiny_config("flow=planar,K=2", jit_compile=False))
    # loc and scale; u, w and b of each planar step.
    assert run.num_parameters == 2 + 2 + 2 * (2 + 2 + 1)


def test_base_has_the_initial_scale(tiny_config):
    config = tiny_config("flow=planar,K=2")
    config.posterior.initial_scale = 0.25
    base = make_model(config).posterior.distribution().distribution
    np.testing.assert_allclose(base.loc, [0.0, 0.0])
    np.testing.assert_allclose(base.stddev(), [0.25, 0.25], rtol=1e-6)


def test_samples_depend_on_seed_step_and_purpose_only(tiny_config, model):
    def samples(model, step=3, purpose="training"):
        return model.terms(8, tf.constant(step), purpose)[0]

    again = make_model(tiny_config(jit_compile=False))
    np.testing.assert_array_equal(samples(model), samples(again))
    for other in (
        samples(model, step=4),
        samples(model, purpose="evaluation"),
        samples(make_model(tiny_config(seed=1))),
    ):
        assert not np.any(np.equal(samples(model), other))


@pytest.mark.parametrize("flow", ["planar", "radial"])
def test_log_prob_agrees_with_the_sampling_direction(tiny_config, flow):
    config = tiny_config(f"flow={flow},K=3", jit_compile=False)
    model = make_model(config)
    for weight in model.trainable_weights:
        shift = np.random.default_rng(1).normal(size=weight.shape)
        weight.assign_add(0.3 * shift)
    z, log_prob, _ = model.terms(100, tf.constant(0), "test")
    # Through NumPy: no cache can hand back what the forward pass knew.
    actual = model.log_prob(tf.constant(z.numpy()))
    np.testing.assert_allclose(actual, log_prob, atol=1e-4)


def test_free_energy_is_the_mean_of_its_terms(model):
    z, terms = model.free_energy_terms(tf.constant(0))
    assert z.shape == [1_000, 2]
    expected = model.log_prob(z) - model.target.unnormalized_log_prob(z)
    np.testing.assert_allclose(terms, expected, atol=1e-4)


def take(run, *counts):
    """The means over the steps of some calls."""
    steps = train_steps.TrainSteps(run.model, takes_batches=False)
    for count in counts:
        steps(None, count)
    steps.check()
    return {mean.name: float(mean.result()) for mean in run.model.metrics}


def test_calls_of_several_steps_equal_single_ones(tiny_config):
    config = tiny_config(jit_compile=False)
    whole, parts = make_run(config), make_run(config)
    assert take(whole, 10) == take(parts, 1, 6, 3)
    assert whole.step == parts.step == 10
    for left, right in zip(
        whole.model.weights, parts.model.weights, strict=True
    ):
        np.testing.assert_array_equal(left, right)


def test_a_step_follows_the_gradient_of_the_free_energy(tiny_config):
    """Those of an independent computation, at the first, annealed step."""
    config = tiny_config(jit_compile=False, annealing_steps=50)
    config.posterior.flow = "none"
    run = make_run(config)
    run.model.compile(keras.optimizers.SGD(1.0))
    loc, log_scale = (v.numpy() for v in run.model.trainable_variables)
    e = run.model.terms(64, tf.constant(0), "training")[0]  # scale 1, loc 0
    with tf.GradientTape() as tape:
        u, v = tf.zeros([2]), tf.constant(log_scale)
        tape.watch([u, v])
        log_target = run.model.target.unnormalized_log_prob(u + tf.exp(v) * e)
        entropy = tf.reduce_sum(v)
        free_energy = -entropy - 0.01 * tf.reduce_mean(log_target)
    gradients = tape.gradient(free_energy, [u, v])
    run.model.train_step()
    for before, after, gradient in zip(
        (loc, log_scale), run.model.trainable_variables, gradients, strict=True
    ):
        np.testing.assert_allclose(before - after, gradient, atol=1e-5)


def test_first_non_finite_step_stops_the_run(tiny_config):
    run = make_run(tiny_config(jit_compile=False))
    target = run.model.target.unnormalized_log_prob

    class Broken:
        def unnormalized_log_prob(self, z):
            step = tf.convert_to_tensor(run.model.optimizer.iterations)
            return target(z) + tf.where(step >= 13, np.inf, 0.0)

    run.model.target = Broken()
    take(run, 10)
    with pytest.raises(
        errors.NonFiniteError, match="`free_energy`.* got -inf.* at step 14"
    ):
        take(run, 10)


def test_learning_rate_warms_up_and_cools_down(tiny_config):
    config = tiny_config()
    config.optimizer.learning_rate = 0.5
    schedule = optimizers.build_optimizer(config)._learning_rate
    rates = [float(schedule(step)) for step in (0, 5, 20, 40)]
    assert rates[0] == 0.0
    assert rates[1] == pytest.approx(0.5)
    assert 0.0 < rates[2] < 0.5
    assert rates[3] == pytest.approx(0.0, abs=1e-6)
