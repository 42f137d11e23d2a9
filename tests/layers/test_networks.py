"""What all networks owe to Keras: one table, one test per claim."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import (
    MLP,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    Maxout,
    ResidualMLP,
    StochasticLayer,
)


def _mlp(units, **kwargs):
    return MLP((6,), output_size=units, activation="tanh", **kwargs)


# Constructor, shapes of the inputs behind the batch axis, and of the output.
LAYERS = {
    "maxout": (lambda **kw: Maxout(3, window=2, **kw), [(5,)], (3,)),
    "mlp": (lambda **kw: MLP((8, 6), **kw), [(2, 3)], (6,)),
    "mlp, output size": (
        lambda **kw: MLP((8,), 7, activation="softplus", **kw),
        [(5,)],
        (7,),
    ),
    "mlp, output shape": (
        lambda **kw: MLP(
            (8, 4), (3, 2), activation="maxout", maxout_window=2, **kw
        ),
        [(5,)],
        (3, 2),
    ),
    "mlp, linear": (lambda **kw: MLP((), 2, **kw), [(2, 3)], (2,)),
    "encoder, [H, W]": (
        lambda **kw: ConvolutionalEncoder((8, 8), (3, 4), units=6, **kw),
        [(8, 8)],
        (6,),
    ),
    "encoder, [H, W, C], odd": (
        lambda **kw: ConvolutionalEncoder(
            (7, 5, 2),
            (3, 4),
            kernel_size=4,
            units=None,
            activation="tanh",
            **kw,
        ),
        [(7, 5, 2)],
        (2 * 2 * 4,),
    ),
    "encoder, flat": (
        lambda **kw: ConvolutionalEncoder((8, 8, 1), (3,), units=6, **kw),
        [(64,)],
        (6,),
    ),
    "decoder": (
        lambda **kw: ConvolutionalDecoder((8, 8), (4, 3), units=6, **kw),
        [(5,)],
        (8, 8, 1),
    ),
    "decoder, odd": (
        lambda **kw: ConvolutionalDecoder(
            (7, 5, 3),
            (4, 3),
            kernel_size=4,
            units=None,
            num_parameters=2,
            activation="tanh",
            **kw,
        ),
        [(5,)],
        (7, 5, 6),
    ),
    "encoder, gated": (
        lambda **kw: ConvolutionalEncoder(
            (7, 5), (3, 4), strides=(1, 2), gated=True, units=6, **kw
        ),
        [(7, 5)],
        (6,),
    ),
    "decoder, gated": (
        lambda **kw: ConvolutionalDecoder(
            (7, 5),
            (4, 3, 2),
            strides=(2, 1, 2),
            gated=True,
            num_parameters=2,
            activation="tanh",
            **kw,
        ),
        [(5,)],
        (7, 5, 2),
    ),
    "residual": (
        lambda **kw: ResidualMLP(6, 2, activation="tanh", **kw),
        [(2, 3)],
        (6,),
    ),
    "residual, output shape": (
        lambda **kw: ResidualMLP(6, 1, (3, 2), activation="gelu", **kw),
        [(5,)],
        (3, 2),
    ),
    "stochastic, top": (lambda **kw: StochasticLayer(4, **kw), [(4,)], (4,)),
    "stochastic, diagonal": (
        lambda **kw: StochasticLayer(4, _mlp(4, **kw), **kw),
        [(4,), (3,)],
        (4,),
    ),
    "stochastic, full": (
        lambda **kw: StochasticLayer(4, _mlp(4, **kw), scale="full", **kw),
        [(4,), (3,)],
        (4,),
    ),
    "stochastic, identity": (
        lambda **kw: StochasticLayer(4, _mlp(4, **kw), scale="identity", **kw),
        [(4,), (3,)],
        (4,),
    ),
}
all_layers = pytest.mark.parametrize("name", LAYERS)


def _inputs(name, batch_size, dtype=np.float32):
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=(batch_size, *shape)).astype(dtype)
        for shape in LAYERS[name][1]
    ]


def _make(name, **kwargs):
    keras.utils.set_random_seed(1)
    return LAYERS[name][0](**kwargs)


def _model(name):
    inputs = [keras.Input(shape) for shape in LAYERS[name][1]]
    return keras.Model(inputs, _make(name)(*inputs))


def _arguments(config):
    """Without the shapes that Keras adds, as tuples or as lists."""
    if not isinstance(config, dict):
        return config
    return {
        name: _arguments(value)
        for name, value in config.items()
        if name != "build_config"
    }


@all_layers
def test_shapes_eager_symbolic_and_computed(name):
    _, input_shapes, output_shape = LAYERS[name]
    layer = _make(name)
    assert layer(*_inputs(name, 5)).shape == (5, *output_shape)
    batched = [(None, *shape) for shape in input_shapes]
    computed = layer.compute_output_shape(*batched)
    assert tuple(computed) == (None, *output_shape)
    assert _model(name).output_shape == (None, *output_shape)


@all_layers
def test_saves_and_loads(name, tmp_path):
    model = _model(name)
    for weight in model.weights:  # what is initially constant included
        weight.assign(weight + 0.1 * np.sin(np.arange(weight.shape[-1])))
    x = _inputs(name, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    layer, again = model.layers[-1], loaded.layers[-1]
    assert type(again) is type(layer)
    assert _arguments(again.get_config()) == _arguments(layer.get_config())


@all_layers
def test_one_built_from_shapes_has_the_weights_of_one_that_was_called(name):
    called, built = _make(name), _make(name)
    called(*_inputs(name, 2))
    built.build(*((None, *shape) for shape in LAYERS[name][1]))
    assert len(built.weights) == len(called.weights)
    for weight, other in zip(built.weights, called.weights, strict=True):
        assert weight.name == other.name
        assert weight.shape == other.shape


def _loss_and_gradients(layer, inputs):
    with tf.GradientTape() as tape:
        outputs = layer(*inputs)
        # No symmetry that would make a gradient vanish.
        size = tf.cast(tf.range(tf.size(outputs)), tf.float32)
        weights = tf.reshape(tf.sin(1.0 + size), tf.shape(outputs))
        loss = tf.reduce_sum(weights * outputs**2)
    return loss, tape.gradient(loss, layer.trainable_variables)


@all_layers
def test_every_weight_has_a_gradient(name):
    layer = _make(name)
    x = _inputs(name, 16)
    layer(*x)
    _, gradients = _loss_and_gradients(layer, x)
    for variable, gradient in zip(
        layer.trainable_variables, gradients, strict=True
    ):
        assert gradient is not None, variable.path
        assert np.abs(gradient).max() > 0, variable.path


COMPILED = ("mlp, output shape", "encoder, [H, W]", "stochastic, full")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(x, marks=[] if x in COMPILED else [pytest.mark.slow])
        for x in LAYERS
    ],
)
def test_xla_and_unknown_batch_size(name):
    layer = _make(name)
    x = _inputs(name, 16)
    layer(*x)
    compiled = tf.function(
        lambda *inputs: _loss_and_gradients(layer, inputs),
        jit_compile=True,
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, *shape]) for shape in LAYERS[name][1]
        ],
    )
    loss, gradients = _loss_and_gradients(layer, x)
    compiled_loss, compiled_gradients = compiled(*x)
    np.testing.assert_allclose(compiled_loss, loss, rtol=1e-4)
    for gradient, other in zip(compiled_gradients, gradients, strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-3, atol=1e-4)


@all_layers
def test_dtype_policies(name):
    reference = _make(name)
    expected = reference(*_inputs(name, 3))
    for policy, tolerance in (("float64", 1e-5), ("mixed_bfloat16", 0.1)):
        layer = _make(name, dtype=policy)
        layer(*_inputs(name, 3))
        layer.set_weights(reference.get_weights())
        outputs = layer(*_inputs(name, 3))
        assert outputs.dtype == layer.compute_dtype
        assert {w.dtype for w in layer.weights} <= {layer.variable_dtype}
        np.testing.assert_allclose(
            tf.cast(outputs, tf.float32), expected, rtol=tolerance, atol=0.1
        )


@all_layers
def test_a_batch_without_rows(name):
    layer = _make(name)
    layer(*_inputs(name, 2))

    @tf.function(autograph=False)
    def outputs_and_gradients(*inputs):
        with tf.GradientTape() as tape:
            outputs = layer(*inputs)
        return outputs, tape.gradient(outputs, layer.trainable_variables)

    x = _inputs(name, 0)
    assert layer(*x).shape == (0, *LAYERS[name][2])
    outputs, gradients = outputs_and_gradients(*x)
    assert outputs.shape == (0, *LAYERS[name][2])
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))


@all_layers
def test_initial_weights_follow_the_global_seed(name):
    first, again = _make(name), _make(name)
    np.testing.assert_array_equal(
        first(*_inputs(name, 2)), again(*_inputs(name, 2))
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Maxout(0), "`units` must be an integer >= 1; got 0"),
        (lambda: Maxout(True), "`units` must be an integer >= 1; got True"),
        (lambda: Maxout(3, 2.0), "`window` must be an integer >= 1; got 2.0"),
        (
            lambda: MLP(400),
            "`hidden_units` must be a sequence of integers >= 1; got 400",
        ),
        (
            lambda: MLP((4, -1)),
            r"`hidden_units` must be a sequence .*; got \(4, -1\)",
        ),
        (lambda: MLP(output_size=0), "`output_size` must be an int.*; got 0"),
        (
            lambda: MLP(output_size=(2, None)),
            r"`output_size` must be a sequence .*; got \(2, None\)",
        ),
        (
            lambda: MLP((8, 6), activation="maxout"),
            r"`maxout_window` must divide all .*; got 4 and \(8, 6\)",
        ),
        (lambda: MLP(maxout_window=0), "`maxout_window` must be .*; got 0"),
        (
            lambda: ConvolutionalEncoder((8,)),
            r"`image_shape` must be \(height, width\) or .*; got \(8,\)",
        ),
        (
            lambda: ConvolutionalEncoder((8, 8), filters=32),
            "`filters` must be a sequence of integers >= 1; got 32",
        ),
        (
            lambda: ConvolutionalEncoder((8, 8), kernel_size=(3, 3)),
            r"`kernel_size` must be an integer >= 1; got \(3, 3\)",
        ),
        (
            lambda: ConvolutionalEncoder((8, 8), units=0),
            "`units` must be an integer >= 1; got 0",
        ),
        (
            lambda: ConvolutionalDecoder((8, None)),
            r"`image_shape` must be .*; got \(8, None\)",
        ),
        (
            lambda: ConvolutionalDecoder((8, 8), filters=()),
            r"`filters` must name at least one; got \(\)",
        ),
        (
            lambda: ConvolutionalDecoder((8, 8), num_parameters=0),
            "`num_parameters` must be an integer >= 1; got 0",
        ),
        (
            lambda: ConvolutionalEncoder((8, 8), (3, 4), strides=(2,)),
            r"`strides` must be .* each of the 2 `filters`; got \(2,\)",
        ),
        (
            lambda: ConvolutionalDecoder((8, 8), strides=0),
            "`strides` must be a sequence of integers >= 1; got 0",
        ),
        (
            lambda: ResidualMLP(num_blocks=0),
            "`num_blocks` must be an integer >= 1; got 0",
        ),
        (
            lambda: ConvolutionalDecoder((8, 8), units=1.5),
            "`units` must be an integer >= 1; got 1.5",
        ),
    ],
)
def test_bad_argument_is_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (
            lambda: MLP((4,)),
            (None, None, 3),
            r"`inputs` must have shape \[B, ...\].*; got \(None, None, 3\)",
        ),
        (lambda: MLP((4,)), (3,), r"`inputs` must have .*; got \(3,\)"),
        (
            lambda: ConvolutionalEncoder((8, 6)),
            (None, 6, 8),
            r"\[B, 8, 6, 1\] or \[B, 48\] or \[B, 8, 6\]; got \(None, 6, 8\)",
        ),
        (
            lambda: ConvolutionalEncoder((8, 6, 3)),
            (None, 8, 6),
            r"\[B, 8, 6, 3\] or \[B, 144\]; got \(None, 8, 6\)",
        ),
        (
            lambda: ConvolutionalDecoder((8, 8)),
            (None, 2, 3),
            r"`inputs` must have shape \[B, D\] .*; got \(None, 2, 3\)",
        ),
    ],
)
def test_inputs_of_another_shape_are_refused(make, shape, message):
    with pytest.raises(ValueError, match=message):
        make().build(shape)


def test_gates_multiply():
    """A gate that is shut lets nothing through, one that is open everything."""
    layer = ConvolutionalEncoder(
        (2, 2), (1,), 1, units=None, strides=1, gated=True, activation="linear"
    )
    x = np.arange(4.0, dtype=np.float32).reshape(1, 2, 2)
    layer(x)
    (convolution,) = layer.convolutions
    for bias, passed in ((-50.0, 0.0), (50.0, 1.0), (0.0, 0.5)):
        convolution.set_weights(
            [np.array([[[[3.0, 0.0]]]]), np.array([0.0, bias])]
        )
        expected = 3 * passed * x.reshape(1, 4)
        np.testing.assert_allclose(layer(x), expected, rtol=1e-6, atol=1e-6)


def test_a_residual_block_adds_to_what_it_is_given():
    layer = ResidualMLP(3, 1, activation="linear")
    x = np.random.default_rng(0).normal(size=[4, 2]).astype(np.float32)
    layer(x)
    w, b, w_1, b_1, v, c = layer.get_weights()
    h = x @ w + b
    expected = h + (h @ w_1 + b_1) @ v + c
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-6)
