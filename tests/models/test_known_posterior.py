"""A posterior that is not Gaussian, and known by quadrature in 2-D.

    z ~ N(0, I),   x | z ~ N(z_1**2 + z_2, 0.5**2)

so that `p(z | x)` lies along the parabola `z_2 = x - z_1**2`.
"""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.layers import PlanarFlow
from tfp_flows.models import DLGM
from tfp_flows.posteriors import FlowPosterior

tfd = tfp.distributions

X = np.array([[-0.5], [0.5]], "float32")
SCALE = 0.5
NUM_STEPS = 1500
AXIS = np.linspace(-5.0, 5.0, 241)
CELL = (AXIS[1] - AXIS[0]) ** 2
GRID = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 1, 2)


def likelihood(z):
    loc = z[..., :1] ** 2 + z[..., 1:]
    return tfd.MultivariateNormalDiag(loc, SCALE * tf.ones_like(loc))


def train(flow, seed):
    keras.utils.set_random_seed(seed)
    model = DLGM(
        encoder=keras.layers.Dense(4, "tanh"),
        posterior=FlowPosterior(2, flow),
        decoder=keras.layers.Identity(),
        likelihood=likelihood,
        event_shape=(1,),
        seed=seed,
    )
    rate = keras.optimizers.schedules.CosineDecay(0.02, NUM_STEPS, 0.01)
    model.compile(keras.optimizers.Adam(rate))
    batches = tf.data.Dataset.from_tensors(np.tile(X, [32, 1])).repeat()
    model.fit(batches, steps_per_epoch=NUM_STEPS, verbose=0)
    return model


def log_joint():
    """`log p(x, z)` of every point of the grid and every x."""
    difference = (X[:, 0] - GRID[..., 0] ** 2 - GRID[..., 1]) / SCALE
    return (
        -0.5 * (np.sum(GRID**2, axis=-1) + difference**2)
        - 1.5 * math.log(2.0 * math.pi)
        - math.log(SCALE)
    )


def log_marginal():
    return np.log(CELL * np.sum(np.exp(log_joint()), axis=0))


def kl_to_posterior(model):
    """`KL(q(z | x) || p(z | x))` of every x."""
    q = model.posterior_distribution(X)
    log_q = np.float64(q.log_prob(GRID.astype("float32")))
    assert CELL * np.sum(np.exp(log_q), axis=0) == pytest.approx(1.0, abs=1e-4)
    log_ratio = log_q - (log_joint() - log_marginal())
    return CELL * np.sum(np.exp(log_q) * log_ratio, axis=0)


@pytest.mark.slow
def test_planar_posterior_closes_the_gap_of_the_diagonal():
    diagonal = train(None, seed=0)
    planar = train(PlanarFlow(12, seed=0), seed=0)

    gap, remaining = kl_to_posterior(diagonal), kl_to_posterior(planar)

    print(f"KL of the diagonal posterior {gap}, of the planar {remaining}")
    assert np.all(gap > 0.1)
    assert np.all(remaining < 0.2 * gap)
    # And what the model says of itself is that.
    metrics = planar.evaluate(
        np.tile(X, [10_000, 1]), batch_size=20_000, verbose=0, return_dict=True
    )
    assert np.mean(log_marginal()) - metrics["elbo"] == pytest.approx(
        np.mean(remaining), abs=0.005
    )
    result = planar.log_marginal_likelihood(X, 10_000, verbose=0)
    assert np.all(
        np.abs(result.estimates - log_marginal()) < 4.5 * result.standard_errors
    )
    assert np.all(result.standard_errors < 0.01)
