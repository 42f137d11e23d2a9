"""Flows with a context, and flows on constants for models of TFP."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.layers.flows import IDENTITIES, LAYERS, ROUNDING
from tfp_flows.layers import PlanarFlow
from tfp_flows.layers.conditioned_flow import ConditionedFlow

tfd = tfp.distributions

B, C, D, K = 5, 4, 3, 2
# The others are left to the slow run, to keep the default one short.
DEFAULT = ("planar", "nice_scaling", "conf", "sylvester_triangular")
FLOWS = [
    pytest.param(n, marks=[] if n in DEFAULT else [pytest.mark.slow])
    for n in LAYERS
]


def _points(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _layer(name, context_shape=(None, C), **kwargs):
    """A layer with weights of a trained one."""
    layer = LAYERS[name](K, seed=0, **kwargs)
    layer.build((None, D), context_shape)
    rng = np.random.default_rng(1)
    # Networks that steep maps follow: gentler, for their inverse in float32.
    scale = 0.2 if name.startswith(("spline", "naf")) else 0.5
    for weight in layer.trainable_weights:
        weight.assign_add(scale * rng.normal(size=weight.shape))
    return layer


@pytest.mark.parametrize("name", FLOWS)
def test_each_example_has_the_flow_of_its_context(name):
    layer = _layer(name)
    context, x = _points(B, C), _points(7, B, D)
    flow = layer.bijector(context)
    assert flow.experimental_batch_shape() == [B]
    y, log_det = flow.forward(x), flow.forward_log_det_jacobian(x, 1)
    for i in range(B):
        alone = layer.bijector(context[i : i + 1])
        np.testing.assert_allclose(
            alone.forward(x[:, i]), y[:, i], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(
            alone.forward_log_det_jacobian(x[:, i], 1),
            log_det[:, i],
            rtol=1e-5,
            atol=1e-6,
        )
    np.testing.assert_allclose(
        flow.inverse(tf.identity(y)), x, rtol=1e-4, atol=1e-5
    )
    # Another context, another flow.
    moved = layer.bijector(np.roll(context, 1, axis=0)).forward(x)
    assert np.abs(moved - y).max() > 0.1
    np.testing.assert_array_equal(layer(x[0], context), flow.forward(x[0]))


@pytest.mark.parametrize("name", FLOWS)
def test_parameters_are_weights_plus_a_linear_function(name):
    layer = _layer(name)
    context = _points(B, C)
    at_zero = layer.parameters(np.zeros([1, C], np.float32))
    shared = {w.name: w for w in layer._head.weights}
    kernel = shared.pop("kernel").numpy()
    first = 0
    blocks = kernel.reshape([C, K, -1])
    for key, parameter in layer.parameters(context).items():
        if key == "log_scale":  # of a head without steps
            continue
        weight = shared.pop(key)
        np.testing.assert_array_equal(at_zero[key][:, 0], weight)
        if key not in layer._head._amortizable:
            np.testing.assert_array_equal(parameter, at_zero[key])
            assert parameter.shape[1] == 1
            continue
        size = weight.numpy()[0].size
        block = blocks[..., first : first + size]
        first += size
        expected = np.einsum("bc,cks->kbs", context, block)
        expected *= layer.effective_context_scale
        expected = expected.reshape(parameter.shape) + weight[:, np.newaxis]
        np.testing.assert_allclose(parameter, expected, rtol=1e-4, atol=1e-6)
    assert not shared


@pytest.mark.parametrize("name", FLOWS)
def test_amortized_decides(name):
    x, context = _points(B, D), _points(B, C)
    shared = _layer(name, amortized=False)
    assert shared.bijector(context).experimental_batch_shape() == []
    np.testing.assert_array_equal(shared(x, context), shared(x))
    assert _layer(name, None).bijector().experimental_batch_shape() == []
    message = "`context_shape` must be given, as .* has amortized=True; got N"
    with pytest.raises(ValueError, match=message):
        LAYERS[name](K, amortized=True)(x)


@pytest.mark.parametrize("name", IDENTITIES)
def test_starts_as_the_identity_for_every_context(name):
    layer = IDENTITIES[name](K, seed=0)
    x, context = _points(B, D), _points(B, C)
    np.testing.assert_allclose(
        layer(x, context), x, rtol=0, atol=ROUNDING.get(name, 0)
    )
    # The first gradients differ from example to example all the same.
    spreads = [
        np.std(parameter, axis=1).min()
        for parameter in layer.parameters(context).values()
    ]
    assert max(spreads) > 1e-3


def test_context_scale_slows_the_learning_and_keeps_the_start():
    context, x = _points(B, C), _points(B, D)
    start, moved = {}, {}
    for scale in (1.0, 0.25):
        layer = PlanarFlow(K, seed=0, context_scale=scale)
        layer.build((None, D), (None, C))
        start[scale] = layer.parameters(context)["w"].numpy()
        kernel = layer.trainable_weights[-1]
        assert kernel.name == "kernel"
        kernel.assign_add(np.ones(kernel.shape))
        moved[scale] = layer.parameters(context)["w"].numpy() - start[scale]
        again = PlanarFlow.from_config(layer.get_config())
        assert again.context_scale == scale
    np.testing.assert_allclose(start[0.25], start[1.0], rtol=1e-5)
    np.testing.assert_allclose(moved[0.25], 0.25 * moved[1.0], rtol=1e-3)
    assert layer(x, context).shape == (B, D)


@pytest.mark.parametrize("name", FLOWS)
def test_only_the_context_of_networks_learns_at_full_speed_by_default(name):
    layer = LAYERS[name](5, seed=0)
    assert layer.context_scale is None
    expected = 1.0 if isinstance(layer, ConditionedFlow) else 0.2
    assert layer.effective_context_scale == expected
    again = type(layer).from_config(layer.get_config())
    assert again.context_scale is None


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_bad_context_scale(scale):
    message = "`context_scale` must be positive and finite, or None; got"
    with pytest.raises(ValueError, match=message):
        PlanarFlow(K, context_scale=scale)


@pytest.mark.parametrize("name", FLOWS)
def test_bad_context(name):
    layer = _layer(name)
    for context, message in (
        (None, "`context` must be given, as .* are amortized; got None"),
        (_points(B, 2), r"`context` must have last axis 4, .* got shape"),
        (_points(C), r"`context` must have shape \[B, 4\]; got \(4,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            layer.bijector(context)


def test_functional_model_is_saved_and_loaded(tmp_path):
    x, context = keras.Input((D,)), keras.Input((C,))
    layer = PlanarFlow(K, seed=0)
    model = keras.Model([x, context], layer(x, context=context))
    layer.weights[0].assign(np.ones([K, D]))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = [_points(B, D), _points(B, C)]
    np.testing.assert_array_equal(loaded(inputs), model(inputs))


# On constants.


@pytest.mark.parametrize("is_amortized", [False, True])
@pytest.mark.parametrize("name", FLOWS)
def test_frozen_bijector_keeps_its_values(name, is_amortized):
    layer = _layer(name, (None, C) if is_amortized else None)
    context = _points(B, C) if is_amortized else None
    x = _points(B, D)
    frozen = layer.frozen_bijector(context)
    before = layer.bijector(context).forward(x)
    np.testing.assert_array_equal(frozen.forward(x), before)
    for weight in layer.trainable_weights:
        weight.assign_add(np.ones(weight.shape))
    np.testing.assert_array_equal(frozen.forward(tf.identity(x)), before)
    assert np.abs(layer.bijector(context).forward(x) - before).max() > 0.1


def test_frozen_bijector_in_a_joint_distribution_of_tfp():
    layer = _layer("planar", None)
    flow = layer.frozen_bijector()
    assert not flow.trainable_variables

    def prior(flow):
        return tfd.TransformedDistribution(
            tfd.MultivariateNormalDiag(tf.zeros(D)), flow
        )

    def likelihood(z):
        return tfd.Normal(tf.reduce_sum(z, axis=-1), 1.0)

    model = tfd.JointDistributionSequential([prior(flow), likelihood])
    z, x = model.sample(6, seed=[0, 1])
    live = prior(layer.bijector()).log_prob(tf.identity(z))
    np.testing.assert_allclose(
        model.log_prob([z, x]), live + likelihood(z).log_prob(x), rtol=1e-4
    )


def test_live_bijector_has_gradients_in_the_weights_and_the_context():
    layer = _layer("planar")
    context, x = tf.constant(_points(B, C)), _points(B, D)
    with tf.GradientTape() as tape:
        tape.watch(context)
        q = tfd.TransformedDistribution(
            tfd.MultivariateNormalDiag(tf.zeros(D)), layer.bijector(context)
        )
        loss = tf.reduce_mean(q.log_prob(x))
    sources = [context, *layer.trainable_variables]
    for gradient in tape.gradient(loss, sources):
        assert np.abs(gradient).max() > 0
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer.frozen_bijector(context).forward(x))
    assert tape.gradient(loss, layer.trainable_variables[0]) is None
