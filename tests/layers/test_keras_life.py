"""What Keras does with any layer: copies, pickles, configurations, dtypes."""

import copy
import inspect
import pickle

import keras
import numpy as np
import pytest
from keras.src.testing import test_case

from tests.layers import flows
from tfp_flows import layers

D, K = 4, 2
FLOWS = {
    name: (getattr(layer, "func", layer), {"num_flow_steps": K, **keywords})
    for name, layer in flows.LAYERS.items()
    for keywords in [getattr(layer, "keywords", {})]
}
NETWORKS = {
    "decoder": (layers.ConvolutionalDecoder, {"image_shape": (6, 4)}, (D,)),
    "encoder": (layers.ConvolutionalEncoder, {"image_shape": (6, 4)}, (6, 4)),
    "made": (layers.MADE, {"num_outputs": 2, "hidden_units": (6,)}, (D,)),
    "maxout": (layers.Maxout, {"units": 3}, (D,)),
    "mlp": (layers.MLP, {"hidden_units": (6,), "output_size": 3}, (D,)),
    "residual_mlp": (layers.ResidualMLP, {"units": 6}, (D,)),
    "standardization": (layers.Standardization, {}, (D,)),
    "stochastic": (layers.StochasticLayer, {"units": D, "scale": "full"}, (D,)),
}
LAYERS = {
    **{name: (*layer, (D,)) for name, layer in FLOWS.items()},
    **NETWORKS,
}
COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
}
# The others are left to the slow run, to keep the default one short.
DEFAULT = ("planar", "nice_scaling", "iaf_inverted", "mlp", "stochastic")


def _points(shape, seed=0):
    points = np.random.default_rng(seed).normal(size=(3, *shape))
    return points.astype(np.float32)


def test_all_public_layers_are_here():
    public = {getattr(layers, name) for name in layers.__all__}
    concrete = {
        layer
        for layer in public
        if issubclass(layer, keras.layers.Layer)
        and not inspect.isabstract(layer)
    }
    assert concrete == {layer for layer, *_ in LAYERS.values()}


EVERY_LAYER = pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n in DEFAULT else [pytest.mark.slow])
        for n in LAYERS
    ],
)


@EVERY_LAYER
def test_copies_pickles_and_clones(name):
    """All compute the same, with weights of their own; so do bijectors."""
    layer_class, keywords, shape = LAYERS[name]
    layer, x = layer_class(**keywords), _points(shape)
    model = keras.Sequential([keras.Input(shape), layer])
    expected = model(x)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    copies = [clone.layers[0]]
    for copied in COPIES.values():
        copies += [copied(layer), copied(model).layers[0]]
    for other in copies:
        assert type(other) is layer_class
        assert other.get_config() == layer.get_config()
        np.testing.assert_array_equal(other(x), expected)
        for weight in other.trainable_weights:
            weight.assign_add(0.1 * np.ones(weight.shape))
    np.testing.assert_array_equal(model(x), expected)
    if name not in FLOWS:
        return
    for flow in (layer.bijector(), layer.trainable_bijector()):
        for copied in COPIES.values():
            np.testing.assert_array_equal(copied(flow).forward(x), expected)


@EVERY_LAYER
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.filterwarnings("ignore:The model does not have any trainable")
def test_of_keras_itself(name):
    """Keras's own test of a layer: symbolic, serialised, trained."""
    layer_class, keywords, shape = LAYERS[name]
    test_case.TestCase().run_layer_test(
        layer_class,
        keywords,
        input_shape=(3, *shape),
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=False,
        # A flow stays in float32 under mixed precision.
        run_mixed_precision_check=name not in (*FLOWS, "made"),
    )


@pytest.mark.parametrize("name", FLOWS)
def test_half_precision(name):
    """Mixed, the flow is computed in float32; else it is refused by name."""
    layer_class, keywords = FLOWS[name]
    for dtype in ("bfloat16", "float16"):
        with pytest.raises(
            ValueError,
            match=rf"`dtype` must have variables in float32 or .*got {dtype}",
        ):
            layer_class(**keywords, dtype=dtype)
    layer = layer_class(**keywords, dtype="mixed_bfloat16")
    assert layer(_points((D,))).dtype == "float32"


@pytest.mark.parametrize("name", ["nice_ortho", "iaf"])
def test_orthogonal_mixing_saved_in_float32_serves_in_float64(name):
    """Its log-det is 0 and its transpose the inverse, as exact as float64."""
    layer_class, keywords = FLOWS[name]
    keywords = {**keywords, "hidden_units": (16,), "mixing": "orthogonal"}
    single, double = (
        layer_class(**keywords, seed=0, dtype=dtype)
        for dtype in ("float32", "float64")
    )
    x = np.random.default_rng(0).normal(size=(5, 16))
    for layer in (single, double):
        layer.build((None, 16))
    double.set_weights(single.get_weights())
    flow = double.bijector()
    y = flow.forward(x)
    np.testing.assert_allclose(flow.inverse(y + 0.0), x, rtol=0, atol=1e-13)
    np.testing.assert_allclose(y, single(x), rtol=0, atol=1e-5)
    log_det = flow.forward_log_det_jacobian(x, 1)
    jacobian = np.stack(
        [
            (flow.forward(x[0] + h) - flow.forward(x[0] - h)) / 2e-6
            for h in 1e-6 * np.eye(16)
        ]
    )
    np.testing.assert_allclose(
        log_det[0], np.linalg.slogdet(jacobian)[1], rtol=0, atol=1e-8
    )
