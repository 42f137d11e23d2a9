"""`h = T(above) + G xi`, and what else a stochastic layer promises."""

import keras
import numpy as np
import pytest

from tfp_flows.layers import MLP, StochasticLayer


def _points(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@keras.saving.register_keras_serializable(package="test_stochastic_layer")
class Doubled(keras.layers.Layer):
    """A user's transform, with a config of its own."""

    def __init__(self, offset, **kwargs):
        super().__init__(**kwargs)
        self.offset = offset

    def call(self, inputs):
        return 2.0 * inputs + self.offset

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "offset": self.offset}


@keras.saving.register_keras_serializable(package="test_stochastic_layer")
class Shifted(StochasticLayer):
    """A user's subclass, with an argument more."""

    def __init__(self, units, shift=0.0, **kwargs):
        super().__init__(units, **kwargs)
        self.shift = shift

    def call(self, xi, above=None):
        return super().call(xi, above) + self.shift

    def get_config(self):
        return {**super().get_config(), "shift": self.shift}


@pytest.mark.parametrize("has_transform", [False, True])
@pytest.mark.parametrize("scale", ["diagonal", "full", "identity"])
def test_against_numpy(scale, has_transform):
    layer = StochasticLayer(
        3, transform=Doubled(1.0) if has_transform else None, scale=scale
    )
    xi, above = _points(5, 3), _points(5, 3, seed=1)
    arguments = (xi, above) if has_transform else (xi,)
    mean = 2.0 * above + 1.0 if has_transform else 0.0
    np.testing.assert_allclose(layer(*arguments), mean + xi, rtol=1e-6)

    if scale == "identity":
        assert layer.scale_factor is None
        assert layer.weights == []
        return
    factor = _points(*layer.scale_factor.shape, seed=2)
    layer.scale_factor.assign(factor)
    matrix = np.diag(factor) if scale == "diagonal" else factor
    expected = mean + np.stack([matrix @ row for row in xi])
    np.testing.assert_allclose(
        layer(*arguments), expected, rtol=1e-5, atol=1e-6
    )


def test_layers_of_other_sizes_in_a_chain():
    top = StochasticLayer(2)
    middle = StochasticLayer(3, MLP((4,), 3), scale="full")
    bottom = StochasticLayer(5, keras.layers.Dense(5))
    h = top(_points(7, 2))
    h = middle(_points(7, 3), h)
    h = bottom(_points(7, 5), above=h)
    assert h.shape == (7, 5)
    assert len(top.weights + middle.weights + bottom.weights) == 1 + 5 + 3


def test_transform_may_be_a_model():
    network = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(3)])
    layer = StochasticLayer(3, network)
    assert layer(_points(5, 3), _points(5, 2)).shape == (5, 3)
    again = StochasticLayer.from_config(layer.get_config())
    assert again(_points(5, 3), _points(5, 2)).shape == (5, 3)


def test_config_is_not_shared_with_the_copy():
    layer = StochasticLayer(3, MLP((4,), 3), scale="full", name="h")
    config = layer.get_config()
    again = StochasticLayer.from_config(config)
    assert isinstance(config["transform"], dict)
    assert again.transform is not layer.transform
    assert again.get_config() == config


def test_subclasses_of_the_user_are_saved(tmp_path):
    inputs = [keras.Input([3]), keras.Input([3])]
    layer = Shifted(3, shift=5.0, transform=Doubled(1.0))
    model = keras.Model(inputs, layer(*inputs))
    layer.scale_factor.assign([1.0, 2.0, 3.0])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = [_points(4, 3), _points(4, 3, seed=1)]
    np.testing.assert_array_equal(loaded(x), model(x))
    assert type(loaded.layers[-1]) is Shifted
    assert type(loaded.layers[-1].transform) is Doubled


def test_transform_keeps_a_dtype_of_its_own():
    layer = StochasticLayer(
        3, keras.layers.Dense(3, dtype="float32"), dtype="float64"
    )
    assert layer(_points(2, 3), _points(2, 4)).dtype == "float64"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "`units` must be an integer >= 1; got 0"),
        ((2.0,), "`units` must be an integer >= 1; got 2.0"),
        (
            (2, None, "dense"),
            '`scale` must be one of "diagonal", "full", "identity"; got '
            "'dense'",
        ),
        ((2, np.tanh), "`transform` must be a Keras layer or None; got <uf"),
    ],
)
def test_bad_argument_is_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        StochasticLayer(*arguments)


@pytest.mark.parametrize("is_built", [False, True])
def test_transform_and_above_go_together(is_built):
    top, lower = StochasticLayer(3), StochasticLayer(3, Doubled(0.0))
    if is_built:
        top(_points(2, 3))
        lower(_points(2, 3), _points(2, 3))
    with pytest.raises(ValueError, match="`above` must be None in a layer"):
        top(_points(2, 3), _points(2, 3))
    with pytest.raises(ValueError, match="`above` must be given to a layer"):
        lower(_points(2, 3))


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"`xi` must .*, 3\]; got \(2, 4\)"):
        StochasticLayer(3)(_points(2, 4))
    with pytest.raises(
        ValueError, match=r"`transform` must .* `units`, 3; got \(2, 4\)"
    ):
        StochasticLayer(3, Doubled(0.0))(_points(2, 3), _points(2, 4))
