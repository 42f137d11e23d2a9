"""Two stochastic layers on digits: each part matters, and learns."""

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

from tests.models import linear_gaussian as lg
from tfp_flows import layers, models, posteriors
from tfp_flows.math import noise

DIGITS = (sklearn.datasets.load_digits().images[:100] > 7).astype("float32")


def build(**kwargs):
    def mlp(*args, name):
        return layers.MLP(*args, activation="tanh", name=name)

    keras.utils.set_random_seed(0)
    model = models.DLGM(
        encoder=mlp([16], name="encoder"),
        posterior=posteriors.FlowPosterior(
            5,
            flow=[layers.PlanarFlow(2, seed=0), layers.RadialFlow(2, seed=1)],
            name="posterior",
        ),
        stochastic_layers=[
            layers.StochasticLayer(2, name="top"),
            layers.StochasticLayer(3, mlp([4], 3, name="mlp"), name="bottom"),
        ],
        decoder=mlp([16], 64, name="decoder"),
        prior=posteriors.FlowPosterior(
            5, layers.PlanarFlow(2, seed=2), name="prior"
        ),
        **{"annealing": None, **kwargs},
    )
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    return model


def bound(model):
    """The bound of every digit, with the same noise at every call."""
    standard_normal = noise.normal(
        [model.num_importance_samples, len(DIGITS), 5],
        seed=0,
        step=0,
        purpose="test",
    )
    return model.annealed_bound(
        tf.constant(DIGITS), standard_normal, training=True
    )[0]


def update(model):
    model.fit(DIGITS, batch_size=len(DIGITS), verbose=0)


@pytest.fixture(scope="module")
def updated():
    model = build()
    update(model)
    return model


@pytest.fixture
def trained(updated):
    """After one update; whatever a test does to its weights is undone."""
    weights = updated.get_weights()
    yield updated
    updated.set_weights(weights)


@pytest.mark.parametrize("part", ["top/scale_factor", "bottom/mlp/"])
def test_zeroing_a_part_changes_the_elbo(part, trained):
    model = trained
    before = bound(model).numpy()

    zeroed = [w for n, w in lg.weights(model).items() if n.startswith(part)]
    assert len(zeroed) == (1 if part.startswith("top") else 4)
    for w in zeroed:
        w.assign(tf.zeros_like(w))

    difference = np.abs(bound(model).numpy() - before)
    assert np.mean(difference > 1e-3) > 0.95
    assert abs(np.mean(bound(model)) - np.mean(before)) > 1e-3


def test_top_layer_reaches_the_images_through_its_scale_alone(trained):
    model = trained
    xi = noise.normal([10, 5], seed=0, step=0, purpose="test")
    other = tf.concat([xi[:, :2] + 1.0, xi[:, 2:]], axis=1)
    assert np.all(np.abs(model.decode(xi) - model.decode(other)) > 0.0)

    model.stochastic_layers[0].scale_factor.assign([0.0, 0.0])

    np.testing.assert_array_equal(model.decode(xi), model.decode(other))


@pytest.mark.parametrize(
    ("estimator", "num_samples"),
    [
        ("reparameterized", 1),
        pytest.param("sticking_the_landing", 1, marks=pytest.mark.slow),
        pytest.param("doubly_reparameterized", 3, marks=pytest.mark.slow),
    ],
)
def test_every_weight_has_a_gradient_after_one_update(estimator, num_samples):
    model = build(
        gradient_estimator=estimator, num_importance_samples=num_samples
    )
    update(model)

    gradients = lg.gradients(model, lambda: tf.reduce_mean(bound(model)))

    parts = {name.split("/")[0] for name in gradients}
    assert parts == {
        "encoder",
        "posterior",
        "top",
        "bottom",
        "decoder",
        "prior",
    }
    assert len(gradients) == len(model.trainable_weights)
    white = np.all(DIGITS.reshape(-1, 64) == 0.0, axis=0)
    for name, gradient in gradients.items():
        gradient = gradient.numpy()
        assert np.all(np.isfinite(gradient)), name
        if name == "encoder/hidden_0/kernel":
            gradient = gradient[~white]  # pixels that are never set
        assert np.all(gradient != 0.0), name
