"""Posteriors that follow the gradient of `log p(x, z)`."""

import numpy as np
import pytest
import tensorflow as tf

from tests.posteriors.annealed import (
    BASES,
    LOG_JOINT,
    SETTINGS,
    U1,
    D,
)
from tests.posteriors.annealed import noise as _noise
from tests.posteriors.annealed import posterior as _posterior
from tfp_flows.posteriors import (
    FlowPosterior,
    HamiltonianPosterior,
    LangevinPosterior,
)


def _bound_and_gradients(posterior, noise, score=True, log_joint=LOG_JOINT):
    weights = [w.value for w in posterior.trainable_weights]
    with tf.GradientTape() as tape:
        z, log_weight = posterior.sample_and_log_weight(
            noise, posterior.parameters(), log_joint=log_joint, score=score
        )
        log_weight += log_joint(z)
        bound = tf.reduce_mean(log_weight)
    return log_weight, tape.gradient(bound, weights)


def _graph(function, jit_compile=False):
    return tf.function(function, autograph=False, jit_compile=jit_compile)


# The estimator.


def _check_evidence(settings, base, num_samples, largest_error):
    posterior = _posterior(settings, base, dtype="float32")

    @_graph
    def draw(noise):
        z, log_weight = posterior.sample_and_log_weight(
            noise, posterior.parameters(), log_joint=LOG_JOINT
        )
        return LOG_JOINT(z) + log_weight - U1.log_normalizer

    log_ratios = np.float64(draw(_noise(posterior, num_samples)))
    ratios = np.exp(log_ratios)
    error = ratios.std() / np.sqrt(num_samples)
    assert error < largest_error
    assert np.abs(ratios.mean() - 1.0) < 4.0 * error
    assert log_ratios.mean() < 0.0


@pytest.mark.parametrize(
    ("settings", "base"),
    [*((name, "diagonal") for name in SETTINGS), ("uncorrected", "full")],
)
def test_mean_weight_is_the_evidence(settings, base):
    _check_evidence(settings, base, 30_000, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_mean_of_many_weights_is_the_evidence(settings, base):
    num_samples = 100_000 if base == "planar" else 1_000_000
    _check_evidence(settings, base, num_samples, 0.03)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_without_bridges_it_is_the_base(dtype):
    posterior = _posterior(num_bridges=0, dtype=dtype)
    assert posterior.noise_size == D
    assert len(posterior.weights) == len(posterior.base.weights)
    noise = _noise(posterior)
    found = posterior.sample_with_diagnostics(noise, posterior.parameters())
    expected = posterior.base.sample_and_log_weight(
        noise, posterior.base.parameters()
    )
    for a, b in zip(found, expected, strict=False):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(found[2]["energy_error"], np.zeros([20, 1]))


def test_without_steps_it_is_the_base():
    posterior = _posterior(initial_step_size=1e-13, learn_step_sizes=False)
    noise = _noise(posterior)
    found = posterior.sample_and_log_weight(
        noise, posterior.parameters(), log_joint=LOG_JOINT
    )
    expected = posterior.base.sample_and_log_weight(
        noise[..., :D], posterior.base.parameters()
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_langevin_is_a_new_momentum_for_each_step():
    langevin = LangevinPosterior(FlowPosterior(D), 3)
    assert isinstance(langevin, HamiltonianPosterior)
    assert langevin.persistence == 0.0
    assert langevin.num_leapfrog_steps == 1
    assert langevin.noise_size == D + 3 * D
    with pytest.raises(ValueError, match="`persistence` must be left to"):
        LangevinPosterior(FlowPosterior(D), 3, persistence=0.5)


@pytest.mark.parametrize(("settings", "draws"), [("long", 3), ("free", 1)])
def test_noise_is_that_of_the_base_and_of_the_momenta(settings, draws):
    base = FlowPosterior(D, base="low_rank")
    posterior = HamiltonianPosterior(base, 3, **SETTINGS[settings])
    assert posterior.noise_size == base.noise_size + draws * D


def test_diagnostics_say_which_samples_went_astray():
    posterior = _posterior()
    noise = _noise(posterior, 4)

    def log_joint(z):
        return LOG_JOINT(z) - np.array([[1.0], [1e200], [1.0], [1e300]]) * (
            tf.reduce_sum(z**6, axis=-1)
        )

    z, log_weight, diagnostics = posterior.sample_with_diagnostics(
        noise, posterior.parameters(), log_joint=log_joint
    )
    assert tuple(diagnostics) == posterior.diagnostic_names
    expected = np.isfinite(log_weight) & np.all(np.isfinite(z), axis=-1)
    np.testing.assert_array_equal(expected, [[True], [False], [True], [False]])
    np.testing.assert_array_equal(diagnostics["non_finite"], 1.0 - expected)
    assert np.all(diagnostics["energy_error"][::2] > 0)


# Gradients.


@pytest.mark.parametrize("settings", SETTINGS)
def test_gradient_is_that_of_finite_differences(settings):
    posterior = _posterior(settings)
    noise = _noise(posterior)
    value = _graph(lambda: _bound_and_gradients(posterior, noise))
    _, gradients = value()
    assert len(gradients) == len(posterior.trainable_weights)
    for weight, gradient in zip(
        posterior.trainable_weights, gradients, strict=True
    ):
        assert np.all(np.isfinite(gradient))
        assert np.all(gradient != 0), weight.path
        direction = np.random.default_rng(3).normal(size=weight.shape)
        start, step, sides = weight.numpy(), 1e-6, []
        for sign in (1.0, -1.0):
            weight.assign(start + sign * step * direction)
            sides.append(np.mean(value()[0]))
        weight.assign(start)
        np.testing.assert_allclose(
            np.sum(gradient * direction),
            (sides[0] - sides[1]) / (2.0 * step),
            rtol=1e-5,
            err_msg=weight.path,
        )


def _check_compiled(base, settings, input_signature=None):
    posterior = _posterior(settings, base)
    noise = _noise(posterior)

    def both(noise):
        return _bound_and_gradients(posterior, noise)

    expected = both(noise)
    for jit_compile in (False, True):
        found = tf.function(
            both,
            autograph=False,
            jit_compile=jit_compile,
            input_signature=input_signature,
        )(noise)
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9),
            found,
            expected,
        )


@pytest.mark.slow
def test_graph_and_xla_change_nothing_for_batches_of_any_size():
    spec = tf.TensorSpec([None, None, 4 * D], tf.float64)
    _check_compiled("diagonal", "uncorrected", [spec])


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("base", BASES)
def test_graph_and_xla_change_nothing(base, settings):
    _check_compiled(base, settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", ["uncorrected", pytest.param("free", marks=pytest.mark.slow)]
)
def test_without_score_values_and_mean_gradient_are_the_same(settings):
    posterior = _posterior(settings)
    gradients = {True: [], False: []}
    functions = {
        score: _graph(
            lambda noise, score=score: _bound_and_gradients(
                posterior, noise, score
            )
        )
        for score in gradients
    }
    for step in range(60):
        noise = posterior.noise(1, 1_000, seed=1, step=step, purpose="test")
        found = {score: f(noise) for score, f in functions.items()}
        np.testing.assert_allclose(found[True][0], found[False][0], rtol=1e-10)
        for score, (_, parts) in found.items():
            flat = [np.ravel(part) for part in parts]
            gradients[score].append(np.concatenate(flat))
    difference = np.subtract(gradients[True], gradients[False])
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(difference))
    of_base = error > 0
    assert np.sum(of_base) == 2 * D  # of no other weight is there a score
    assert np.all(np.abs(difference.mean(axis=0)) < 4.0 * error + 1e-12)
    mean = np.abs(np.mean(gradients[True], axis=0))[of_base]
    assert np.all(error[of_base] < 0.5 * mean.max())


def test_through_is_what_the_base_samples_pass():
    posterior = _posterior()
    noise, parameters = _noise(posterior), posterior.parameters()
    passed = []

    def through(z):
        passed.append(z)
        return tf.stop_gradient(z)

    with tf.GradientTape() as tape:
        z, log_weight = posterior.sample_and_log_weight(
            noise,
            parameters,
            log_joint=LOG_JOINT,
            score=False,
            through=through,
        )
        bound = tf.reduce_mean(LOG_JOINT(z) + log_weight)
    z_0, _ = posterior.base.push_forward(noise[..., :D], parameters["base"])
    assert len(passed) == 1
    np.testing.assert_array_equal(passed[0], z_0)
    # The dynamics depend on the base's parameters all the same.
    (loc, *_) = posterior.base.trainable_weights
    assert np.all(tape.gradient(bound, loc.value) != 0)


@pytest.mark.slow
def test_graph_does_not_grow_with_the_bridges():
    def num_ops(num_bridges):
        posterior = _posterior(num_bridges=num_bridges)
        traced = _graph(lambda noise: _bound_and_gradients(posterior, noise))
        noise = tf.zeros([5, 1, posterior.noise_size], tf.float64)
        graph = traced.get_concrete_function(noise).graph
        functions = graph.as_graph_def().library.function
        return [
            sum(len(function.node_def) for function in functions),
            # But for one piece of the noise for each bridge.
            len(graph.get_operations()),
        ]

    assert num_ops(8) == num_ops(64)
