"""`tfp.vi.fit_surrogate_posterior` with the optimizers of Keras 3."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from tfp_flows.bijectors import Planar, Radial, Scan

tfd = tfp.distributions

make_trainable = tfp.experimental.util.make_trainable

MEAN = np.array([1.0, -1.0], np.float32)
CORRELATION = 0.8
# Its normaliser is 1, so that the best free energy is 0.
TARGET = tfd.MultivariateNormalTriL(
    MEAN,
    np.linalg.cholesky([[1.0, CORRELATION], [CORRELATION, 1.0]]).astype(
        np.float32
    ),
)
# The KL of the best Gaussian without correlation: 0.51.
BEST_DIAGONAL_KL = -0.5 * np.log(1.0 - CORRELATION**2)


def _base():
    return make_trainable(
        tfd.MultivariateNormalDiag, batch_and_event_shape=[2], seed=(1, 1)
    )


def _fit(surrogate, num_steps=200, **kwargs):
    schedule = keras.optimizers.schedules.CosineDecay(0.1, num_steps)
    return tfp.vi.fit_surrogate_posterior(
        TARGET.log_prob,
        surrogate,
        optimizer=keras.optimizers.Adam(schedule),
        num_steps=num_steps,
        sample_size=32,
        seed=(1, 3),
        **kwargs,
    ).numpy()


def _assert_near_the_target(surrogate, losses):
    # The noise of the last losses is averaged out.
    assert np.mean(losses[-20:]) < np.mean(losses[:5])
    z, log_prob = surrogate.experimental_sample_and_log_prob(
        10_000, seed=(1, 4)
    )
    terms = (log_prob - TARGET.log_prob(z)).numpy()
    standard_error = np.std(terms) / np.sqrt(len(terms))
    assert -3.0 * standard_error < np.mean(terms) < 0.5 * BEST_DIAGONAL_KL
    np.testing.assert_allclose(np.mean(z, axis=0), MEAN, atol=0.2)
    assert np.corrcoef(z, rowvar=False)[0, 1] > 0.4


@pytest.mark.slow
def test_fit_of_trainable_planar_flows_under_xla():
    flow = make_trainable(Planar, batch_and_event_shape=[4, 2], seed=(1, 2))
    surrogate = tfd.TransformedDistribution(_base(), Scan(flow))
    assert len(surrogate.trainable_variables) == 5
    losses = _fit(surrogate, jit_compile=True)
    _assert_near_the_target(surrogate, losses)


@pytest.mark.slow
def test_fit_of_radial_flows_with_plain_variables():
    rng = np.random.default_rng(0)
    flow = Radial(
        z0=tf.Variable(rng.normal(size=[4, 2]), dtype=tf.float32),
        unconstrained_alpha=tf.Variable(tf.zeros(4)),
        unconstrained_beta=tf.Variable(tf.zeros(4)),
    )
    surrogate = tfd.TransformedDistribution(_base(), Scan(flow))
    assert len(surrogate.trainable_variables) == 5
    losses = _fit(surrogate)
    _assert_near_the_target(surrogate, losses)


def test_fit_of_the_weights_of_a_keras_layer():
    layer = tfp_flows.layers.PlanarFlow(4, seed=1)
    layer.build((None, 2))
    base = _base()
    surrogate = tfp.experimental.util.DeferredModule(
        lambda: tfd.TransformedDistribution(base, layer.bijector()),
        also_track=[base, [weight.value for weight in layer.weights]],
    )
    assert len(surrogate.trainable_variables) == 5
    before = [weight.numpy() for weight in layer.weights]
    losses = _fit(surrogate)
    for weight, value in zip(layer.weights, before, strict=True):
        assert np.all(np.not_equal(weight.numpy(), value))
    _assert_near_the_target(surrogate, losses)


def test_an_optimizer_serves_one_set_of_variables():
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build([tf.Variable(0.0)])
    with pytest.raises(ValueError, match="Unknown variable"):
        tfp.vi.fit_surrogate_posterior(
            TARGET.log_prob, _base(), optimizer=optimizer, num_steps=1
        )
