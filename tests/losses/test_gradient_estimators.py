"""The estimators on a model where everything is known.

    z ~ N(0, 1),  x | z ~ N(z, 1),  q(z) = N(loc, exp(log_scale)**2);

the exact posterior is N(x / 2, 1 / 2).
"""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.losses import (
    GRADIENT_ESTIMATORS,
    GradientScale,
    annealed_log_weights,
    check_gradient_estimator,
    doubly_reparameterized_factor,
    free_energy,
    stop_parameters,
)
from tfp_flows.losses.gradient_estimators import without_score
from tfp_flows.math import noise

tfd = tfp.distributions

X = 1.5
EXACT = (X / 2.0, -0.5 * math.log(2.0))
OTHER = (0.1, 0.3)


def _gradients(
    estimator,
    parameters=OTHER,
    num_samples=1,
    num_repeats=20_000,
    annealing=(1.0, 1.0, 1.0),
    seed=0,
):
    """Gradients in loc and log_scale, one row for each of the repeats."""
    parameters = tf.tile(
        tf.constant(parameters, tf.float64)[:, tf.newaxis], [1, num_repeats]
    )
    epsilon = noise.normal(
        [num_samples, num_repeats],
        seed=seed,
        step=0,
        purpose="test",
        dtype=tf.float64,
    )
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        loc, log_scale = tf.unstack(parameters)
        z = loc + tf.exp(log_scale) * epsilon
        if estimator != "reparameterized":
            loc, log_scale = stop_parameters((loc, log_scale))
        scale = GradientScale()
        if estimator == "doubly_reparameterized":
            z = scale(z)
        terms = (
            tfd.Normal(z, 1.0).log_prob(X),
            tfd.Normal(tf.zeros([], z.dtype), 1.0).log_prob(z),
            tfd.Normal(loc, tf.exp(log_scale)).log_prob(z),
        )
        log_weights = annealed_log_weights(*terms, annealing)
        scale.set(doubly_reparameterized_factor(log_weights, annealing[2]))
        loss = free_energy(
            *terms, annealing, importance_weighted=num_samples > 1
        )
    return tape.gradient(loss, parameters).numpy().T


def _assert_equal_means(first, second):
    error = np.sqrt((first.var(axis=0) + second.var(axis=0)) / len(first))
    difference = first.mean(axis=0) - second.mean(axis=0)
    assert np.all(np.abs(difference) < 4.5 * error), (difference, error)


@pytest.mark.parametrize("estimator", GRADIENT_ESTIMATORS)
def test_mean_of_the_elbos_gradient_is_the_analytic_one(estimator):
    gradients = _gradients(estimator)
    loc, log_scale = OTHER
    expected = [2.0 * loc - X, 2.0 * math.exp(2.0 * log_scale) - 1.0]
    error = gradients.std(axis=0) / np.sqrt(len(gradients))
    assert np.all(np.abs(gradients.mean(axis=0) - expected) < 4.5 * error)


def _iwae_gradients_by_quadrature(parameters):
    """Of minus the bound of two samples, by differences of an integral."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()

    def loss(parameters):
        loc, log_scale = parameters
        z = loc + math.exp(log_scale) * nodes
        log_w = (
            -0.5 * (X - z) ** 2
            - 0.5 * z**2
            - 0.5 * math.log(2.0 * math.pi)
            + 0.5 * nodes**2
            + log_scale
        )
        pairs = np.logaddexp(log_w[:, np.newaxis], log_w) - math.log(2.0)
        return -weights @ pairs @ weights

    steps = 1e-5 * np.eye(2)
    return [(loss(parameters + h) - loss(parameters - h)) / 2e-5 for h in steps]


@pytest.mark.parametrize(
    "estimator", ["reparameterized", "doubly_reparameterized"]
)
def test_mean_of_the_iwae_gradient_is_the_one_by_quadrature(estimator):
    gradients = _gradients(estimator, num_samples=2, num_repeats=50_000)
    expected = _iwae_gradients_by_quadrature(np.array(OTHER))
    error = gradients.std(axis=0) / np.sqrt(len(gradients))
    difference = gradients.mean(axis=0) - expected
    assert np.all(np.abs(difference) < 4.5 * error), (difference, error)


def test_sticking_the_landing_is_biased_for_iwae():
    """So the tests above would notice that the factor is missing."""
    gradients = _gradients(
        "sticking_the_landing", num_samples=2, num_repeats=50_000
    )
    expected = _iwae_gradients_by_quadrature(np.array(OTHER))
    error = gradients.std(axis=0) / np.sqrt(len(gradients))
    difference = gradients.mean(axis=0) - expected
    assert np.any(np.abs(difference) > 10.0 * error)


@pytest.mark.parametrize(
    "annealing", [(0.3, 0.3, 1.0), (1.0, 0.2, 0.2)], ids=["joint", "kl"]
)
def test_doubly_reparameterized_is_unbiased_under_annealing(annealing):
    _assert_equal_means(
        *(
            _gradients(
                estimator,
                num_samples=4,
                num_repeats=50_000,
                annealing=annealing,
                seed=seed,
            )
            for seed, estimator in enumerate(
                ["reparameterized", "doubly_reparameterized"]
            )
        )
    )


@pytest.mark.parametrize("num_samples", [1, 5])
@pytest.mark.parametrize(
    "estimator", ["sticking_the_landing", "doubly_reparameterized"]
)
def test_no_variance_at_the_exact_posterior(estimator, num_samples):
    gradients = _gradients(estimator, EXACT, num_samples, num_repeats=100)
    np.testing.assert_allclose(gradients, np.zeros([100, 2]), atol=1e-12)
    plain = _gradients("reparameterized", EXACT, num_samples, num_repeats=100)
    assert np.all(plain.std(axis=0) > 0.1)


def test_doubly_reparameterized_with_one_sample_is_sticking_the_landing():
    np.testing.assert_array_equal(
        _gradients("doubly_reparameterized", num_repeats=100),
        _gradients("sticking_the_landing", num_repeats=100),
    )


def test_factor_and_weight_make_the_squared_weight():
    log_weights = tf.math.log([[0.2], [0.6]])
    with tf.GradientTape() as tape:
        tape.watch(log_weights)
        factor = doubly_reparameterized_factor(log_weights)
    assert tape.gradient(factor, log_weights) is None
    np.testing.assert_allclose(factor, [[0.25], [0.75]], rtol=1e-6)
    np.testing.assert_allclose(
        doubly_reparameterized_factor(log_weights, 0.0), [[1.0], [1.0]]
    )


@pytest.mark.parametrize("mode", ["eager", "graph", "outside", "xla"])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.bfloat16])
def test_gradient_scale(mode, dtype):
    def scaled(z):
        scale = GradientScale()
        z = scale(z)
        y = tf.reduce_sum(z**2, axis=-1)
        scale.set(tf.cast(y, tf.float32))  # known after the forward pass
        return y

    if mode == "outside":  # the tape is outside of the function
        scaled = tf.function(scaled)

    def call(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            y = scaled(z)
        return y, tape.gradient(y, z)

    if mode in ("graph", "xla"):
        call = tf.function(call, jit_compile=mode == "xla")
    z = tf.constant([[[1.0, 2.0], [0.0, 1.0]]], dtype)
    y, gradient = call(z)
    np.testing.assert_array_equal(tf.cast(y, tf.float64), [[5.0, 1.0]])
    assert gradient.dtype == dtype
    np.testing.assert_array_equal(
        tf.cast(gradient, tf.float64), [[[10.0, 20.0], [0.0, 2.0]]]
    )


def test_forgotten_factor_is_named():
    z = tf.ones([2, 3, 4])
    with tf.GradientTape() as tape:
        tape.watch(z)
        y = GradientScale()(z)
    with pytest.raises(RuntimeError, match="`GradientScale.set` must be"):
        tape.gradient(y, z)


def test_joint_density_without_score_has_the_given_gradients():
    z = (tf.constant([[1.0, 2.0]]), [tf.constant([[3.0]])])
    given = (tf.constant([[4.0, 5.0]]), [tf.constant([[6.0]])])
    phi = tf.constant([7.0])
    with tf.GradientTape() as tape:
        tape.watch((z, phi))
        log_prob = without_score(z, 2.0 * phi, given)
    assert log_prob == 14.0
    found, of_phi = tape.gradient(log_prob, (z, phi))
    tf.nest.map_structure(np.testing.assert_array_equal, found, given)
    assert of_phi is None


def test_unknown_estimator_lists_the_known():
    for name in GRADIENT_ESTIMATORS:
        check_gradient_estimator(name)
    with pytest.raises(
        ValueError,
        match="`gradient_estimator` must be one of reparameterized, "
        "sticking_the_landing, doubly_reparameterized; got 'score'",
    ):
        check_gradient_estimator("score")
