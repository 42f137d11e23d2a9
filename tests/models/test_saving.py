"""A DLGM in a `.keras` file comes back as it was, optimizer included."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.distributed import mirrored_strategy, on_two_cpus
from tfp_flows.layers import (
    MLP,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    PlanarFlow,
    RadialFlow,
    StochasticLayer,
)
from tfp_flows.models import DLGM
from tfp_flows.posteriors import FlowPosterior
from tfp_flows.schedules import JointAnnealing, KLAnnealing

tfd = tfp.distributions

N = 6


@keras.saving.register_keras_serializable(package="tests")
class TwoHeads(keras.layers.Layer):
    """An encoder of the user's own, with an argument and sublayers."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.heads = [keras.layers.Dense(units, "tanh") for _ in range(2)]

    def build(self, input_shape):
        size = int(np.prod(input_shape[1:]))
        for head in self.heads:
            head.build((None, size))

    def call(self, x):
        x = keras.ops.reshape(x, [-1, int(np.prod(x.shape[1:]))])
        return keras.ops.concatenate([head(x) for head in self.heads], -1)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="tests")
def narrow_gaussian(outputs):
    return tfd.Independent(tfd.Normal(outputs, 0.5), 1)


def _two_layers():
    """L = 2, a trained prior, and everything that a user may write."""
    return DLGM(
        encoder=TwoHeads(3),
        posterior=FlowPosterior(
            5,
            [
                PlanarFlow(2, seed=0, constraint="paper"),
                RadialFlow(1, seed=1),
                PlanarFlow(1, amortized=False, seed=2),
            ],
            base="low_rank",
            rank=2,
        ),
        decoder=keras.Sequential(
            [keras.layers.Dense(4, "relu"), keras.layers.Dense(16)]
        ),
        likelihood=narrow_gaussian,
        stochastic_layers=[
            StochasticLayer(2, scale="full"),
            StochasticLayer(3, MLP([4], 3)),
        ],
        prior=FlowPosterior(5, RadialFlow(1, seed=3)),
        annealing=JointAnnealing(num_steps=7, initial=0.2),
        num_importance_samples=2,
        event_shape=[16],
        seed=11,
        name="two_layers",
    )


def _convolutional():
    return DLGM(
        encoder=ConvolutionalEncoder(
            (4, 4), filters=(2,), units=3, dtype="float64"
        ),
        posterior=FlowPosterior(
            2, RadialFlow(2, seed=0, dtype="float64"), "full", dtype="float64"
        ),
        decoder=ConvolutionalDecoder(
            (4, 4), filters=(2,), units=None, dtype="float64"
        ),
        annealing="kl",
        gradient_estimator="sticking_the_landing",
        dtype="float64",
    )


MODELS = {"two layers": _two_layers, "convolutional": _convolutional}


def _images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, [N, 4, 4, 1]).astype(np.float32)


def _trained(name):
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    # Eagerly: there is no graph to wait for.
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    _fit(model)
    return model


def _fit(model):
    model.fit(_images(), batch_size=4, shuffle=False, verbose=0)


@pytest.fixture(scope="module", params=MODELS)
def saved_and_loaded(request, tmp_path_factory):
    model = _trained(request.param)
    path = tmp_path_factory.mktemp("models") / "dlgm.keras"
    model.save(path)
    return model, keras.saving.load_model(path)


def _assert_equal(first, second):
    for a, b in zip(
        tf.nest.flatten(first), tf.nest.flatten(second), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_config(saved_and_loaded):
    model, loaded = saved_and_loaded
    configs = [json.dumps(m.get_config()) for m in (model, loaded)]
    assert configs[0] == configs[1]
    assert type(loaded.encoder) is type(model.encoder)
    assert loaded.annealing == model.annealing
    assert loaded.likelihood.name == model.likelihood.name
    assert loaded.event_shape == model.event_shape
    assert loaded.dtype_policy == model.dtype_policy


def test_weights_and_what_they_give(saved_and_loaded):
    model, loaded = saved_and_loaded
    assert len(model.weights) == len(loaded.weights) > 10
    for weight, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(other, weight, err_msg=weight.path)
    x = _images()
    features = model.encoder(x.reshape([N, *model.event_shape]))
    for use in (
        lambda m: m.posterior.parameters(features),
        lambda m: m.posterior.distribution(features).sample(3, seed=[0, 1]),
        lambda m: m.posterior.sample_and_log_prob(features, 3, seed=1),
        lambda m: m.sample(3, seed=1),
        lambda m: m.sample(3, seed=1, draws=True),
        lambda m: m.reconstruct(x, seed=1),
        lambda m: m(x),
        lambda m: m.evaluate(x, verbose=0),
    ):
        _assert_equal(use(model), use(loaded))


def test_copy_of_the_config_is_another_model(saved_and_loaded):
    model, _ = saved_and_loaded
    copy = DLGM.from_config(model.get_config())
    copy.build((None, *model.event_shape))
    assert [(w.name, w.shape) for w in copy.weights] == [
        (w.name, w.shape) for w in model.weights
    ]
    own = {id(w) for w in model.weights}
    assert not any(id(w) in own for w in copy.weights)
    assert type(copy.annealing) in (JointAnnealing, KLAnnealing)


def test_weights_alone(saved_and_loaded, tmp_path):
    model, _ = saved_and_loaded
    model.save_weights(tmp_path / "dlgm.weights.h5")
    copy = DLGM.from_config(model.get_config())
    copy.build((None, *model.event_shape))
    copy.load_weights(tmp_path / "dlgm.weights.h5")
    _assert_equal(copy.sample(3, seed=1), model.sample(3, seed=1))
    _assert_equal(copy(_images()), model(_images()))


# Last of these, as it changes both.
def test_training_continues_as_if_it_had_not_been_interrupted(
    saved_and_loaded,
):
    model, loaded = saved_and_loaded
    assert int(loaded.optimizer.iterations) == 2
    for variable, other in zip(
        model.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(other, variable, err_msg=variable.path)
    before = [w.numpy() for w in model.trainable_weights]
    _fit(model)
    _fit(loaded)
    assert int(loaded.optimizer.iterations) == 4
    for weight, other, start in zip(
        model.trainable_weights, loaded.trainable_weights, before, strict=True
    ):
        np.testing.assert_allclose(
            other, weight, rtol=1e-6, atol=1e-7, err_msg=weight.path
        )
        assert np.abs(weight - start).max() > 1e-4, weight.path


# "auto" is resolved where the model is loaded.


def load_on_two(path):
    with mirrored_strategy().scope():
        model = keras.saving.load_model(path)
    return model.jit_compile, model.get_compile_config()["jit_compile"]


def _saved(path, **compile_arguments):
    model = DLGM(MLP([2]), FlowPosterior(2), MLP([2], 16))
    model.build((None, 16))
    model.compile("sgd", **compile_arguments)
    model.save(path)
    return model


@pytest.mark.distributed
def test_auto_jit_compile_is_resolved_anew(tmp_path):
    path = str(tmp_path / "dlgm.keras")
    assert _saved(path).jit_compile is True
    assert keras.saving.load_model(path).jit_compile is True
    assert on_two_cpus(load_on_two, path) == (False, "auto")


@pytest.mark.parametrize("jit_compile", [True, False])
def test_jit_compile_that_was_asked_for_is_kept(jit_compile, tmp_path):
    path = tmp_path / "dlgm.keras"
    _saved(path, jit_compile=jit_compile)
    assert keras.saving.load_model(path).jit_compile is jit_compile


def test_model_that_is_not_compiled(tmp_path):
    model = DLGM(MLP([2]), FlowPosterior(2), MLP([2], 16))
    model.build((None, 16))
    model.save(tmp_path / "dlgm.keras")
    loaded = keras.saving.load_model(tmp_path / "dlgm.keras")
    assert not loaded.compiled
    _assert_equal(loaded.sample(3, seed=1), model.sample(3, seed=1))
