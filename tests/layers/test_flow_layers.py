"""Keras layers own the weights and hand tensors to bijectors."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers import flows
from tfp_flows.layers import PlanarFlow

D, K = 3, 4
LAYERS = {
    **flows.LAYERS,
    "planar, paper": functools.partial(PlanarFlow, constraint="paper"),
}
# The others are left to the slow run, to keep the default one short.
DEFAULT = ("planar", "nice_ortho", "circular", "sylvester_triangular")
FLOWS = [
    pytest.param(n, marks=[] if n in DEFAULT else [pytest.mark.slow])
    for n in LAYERS
]


def _points(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", flows.IDENTITIES)
def test_starts_as_the_identity(name):
    layer = flows.IDENTITIES[name](K, seed=0)
    x = _points(5, D)
    atol = flows.ROUNDING.get(name, 0)
    np.testing.assert_allclose(layer(x), x, rtol=0, atol=atol)
    log_det = layer.bijector().forward_log_det_jacobian(x, 1)
    np.testing.assert_allclose(log_det, np.zeros(5), rtol=0, atol=10 * atol)


@pytest.mark.parametrize("name", ["real_nvp", "data_adaptive", "nice_perm"])
def test_starts_as_a_permutation(name):
    layer, x = LAYERS[name](K, seed=0), _points(5, D)
    np.testing.assert_allclose(
        np.sort(layer(x), axis=-1), np.sort(x, axis=-1), rtol=1e-6
    )


@pytest.mark.parametrize("name", FLOWS)
def test_every_weight_has_a_gradient_after_one_update(name):
    layer = LAYERS[name](K, seed=0)
    x = _points(50, D)
    layer.build(x.shape)

    def gradients():
        with tf.GradientTape() as tape:
            flow = layer.bijector()
            y = flow.forward(x)
            loss = tf.reduce_mean(tf.reduce_sum((y - 1) ** 2, axis=-1))
            loss -= tf.reduce_mean(flow.forward_log_det_jacobian(x, 1))
        return tape.gradient(loss, layer.trainable_variables)

    optimizer = keras.optimizers.SGD(0.05)
    optimizer.apply(gradients(), layer.trainable_variables)
    for variable, gradient in zip(
        layer.trainable_variables, gradients(), strict=True
    ):
        # Each of the K steps, not only the first.
        steps = K if variable.shape[0] == K else 1
        per_step = np.abs(np.reshape(gradient, [steps, -1])).max(axis=-1)
        assert (per_step > 0).all(), variable.path


@pytest.mark.parametrize("name", LAYERS)
def test_steps_differ_and_the_seed_decides_them(name):
    first, again, other = (LAYERS[name](K, seed=seed) for seed in (0, 0, 7))
    for layer in (first, again, other):
        layer.build((None, D))
    for weight, same in zip(first.weights, again.weights, strict=True):
        np.testing.assert_array_equal(weight, same)
    trainable = [w for w in first.trainable_weights if w.shape[0] == K]
    distinct = [len(np.unique(w.numpy(), axis=0)) for w in trainable]
    assert max(distinct) == K
    assert any(
        np.any(weight.numpy() != changed.numpy())
        for weight, changed in zip(first.weights, other.weights, strict=True)
    )


@pytest.mark.parametrize("name", FLOWS)
def test_fits_saves_and_loads(name, tmp_path):
    layer = LAYERS[name](K, seed=0)
    model = keras.Sequential([keras.Input((D,)), layer])
    model.compile("adam", "mse")
    x = _points(16, D)
    history = model.fit(x, 2 * x + 1, epochs=5, batch_size=8, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x[:3]), model(x[:3]), rtol=1e-6)
    assert loaded.layers[-1].get_config() == layer.get_config()


def test_bijector_follows_the_weights():
    layer = LAYERS["planar"](K, seed=0)
    layer.build((None, D))
    x = _points(5, D)
    before = layer.bijector().forward(x)
    layer.weights[0].assign(np.ones([K, D]))
    assert np.abs(layer.bijector().forward(x) - before).max() > 0.1


@pytest.mark.parametrize("name", LAYERS)
def test_a_trainable_bijector_owns_its_variables(name):
    """Those that Keras trained, and what TFP trains no weight of the layer."""
    layer = LAYERS[name](K, seed=0)
    layer.build((None, D))
    flow, x = layer.trainable_bijector(), _points(5, D)
    np.testing.assert_array_equal(flow.forward(x), layer(x))
    shapes = sorted(tuple(v.shape) for v in flow.trainable_variables)
    assert shapes == sorted(tuple(w.shape) for w in layer.trainable_weights)
    before = [w.numpy() for w in layer.weights]
    rng = np.random.default_rng(1)
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    assert np.abs(flow.forward(x) - layer(x)).max() > 1e-3
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("num_flow_steps", [0, -1, 2.0, "8"])
def test_bad_number_of_steps(num_flow_steps):
    with pytest.raises(
        ValueError, match="`num_flow_steps` must be an integer >= 1; got"
    ):
        PlanarFlow(num_flow_steps)


def test_unknown_constraint_is_refused_at_once():
    with pytest.raises(ValueError, match="`constraint` must be one of"):
        PlanarFlow(2, constraint="none")


def test_not_built():
    with pytest.raises(ValueError, match="must be built before"):
        PlanarFlow(2).bijector()
