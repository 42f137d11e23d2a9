"""A model's life: trained, saved, loaded elsewhere, trained on, served."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.layers import MLP, ConvolutionalDecoder, PlanarFlow
from tfp_flows.models import DLGM, BernoulliMADE
from tfp_flows.posteriors import FlowPosterior
from tfp_flows.schedules import KLAnnealing

tfd = tfp.distributions

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary_images(count=20):
    return np.random.default_rng(0).integers(0, 2, [count, 4, 4]) * 1.0


def small_dlgm(optimizer="adam", **kwargs):
    keras.utils.set_random_seed(0)
    model = DLGM(
        MLP([6]),
        FlowPosterior(3, PlanarFlow(2, seed=0)),
        MLP([6], 16),
        **kwargs,
    )
    model.compile(optimizer, jit_compile=False)
    return model


def run_in_new_process(code, folder):
    """Runs `code` in the folder; TensorFlow acts as in this process."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


_GOES_ON = """
import keras, numpy as np, tfp_flows

x = np.load("x.npy")
model = keras.saving.load_model("model.keras")
model.export("loaded", verbose=False)
model.fit(x, batch_size=5, shuffle=False, verbose=0)
model.export("trained_on", verbose=False)
np.savez("weights.npz", *model.get_weights())
"""
_SERVES = """
import sys
import numpy as np, tensorflow as tf

x = np.load("x.npy").astype("float32")
for name in ("loaded", "trained_on"):
    loaded = tf.saved_model.load(name)
    (served,) = loaded.signatures["serving_default"](tf.constant(x)).values()
    np.save(f"{name}.npy", served)
assert "tfp_flows" not in sys.modules
"""


@pytest.mark.slow
def test_life_in_several_processes(tmp_path):
    x = binary_images()
    np.save(tmp_path / "x.npy", x)
    # Of four batches; so it is saved in the middle of an update.
    optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=3)
    model = small_dlgm(optimizer)
    model.fit(x, batch_size=5, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    run_in_new_process(_GOES_ON, tmp_path)
    run_in_new_process(_SERVES, tmp_path)
    outputs = {"loaded": model.predict(x, verbose=0)}
    model.fit(x, batch_size=5, shuffle=False, verbose=0)
    outputs["trained_on"] = model.predict(x, verbose=0)
    assert np.abs(outputs["loaded"] - outputs["trained_on"]).max() > 1e-4
    loaded = np.load(tmp_path / "weights.npz")
    for name, weight in zip(loaded, model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded[name], weight)
    for name, output in outputs.items():
        served = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(served, output, rtol=1e-6, atol=1e-6)


def _log_marginal_likelihood(model, x):
    model.log_marginal_likelihood(x, 10, jit_compile=False, verbose=0)


@pytest.mark.parametrize(
    ("make", "use"),
    [
        (small_dlgm, None),
        (small_dlgm, _log_marginal_likelihood),
        (lambda: BernoulliMADE((16,), seed=0), None),
        (lambda: BernoulliMADE((16,), seed=0), lambda m, _: m.sample(1)),
    ],
    ids=["built", "log_marginal_likelihood", "MADE", "MADE sample"],
)
def test_export_needs_no_call_and_survives_all_uses(make, use, tmp_path):
    model = make()
    model.build((None, 4, 4))
    x = binary_images().astype("float32")
    if use is not None:
        use(model, x)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x), model(x), rtol=1e-6, atol=1e-6)


def test_export_of_an_unbuilt_model_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"must be built.*fit it, or call"):
        small_dlgm().export(tmp_path / "served")


@pytest.mark.parametrize(
    "use",
    [
        lambda m, x: m.sample(2),
        lambda m, x: m.reconstruct(x),
        lambda m, x: m.posterior_distribution(x),
        lambda m, x: m.log_marginal_likelihood(x, 10, verbose=0),
    ],
    ids=["sample", "reconstruct", "posterior", "log_marginal_likelihood"],
)
def test_unbuilt_models_answer_nothing(use):
    model = DLGM(MLP([6]), FlowPosterior(3), MLP([6], 16), event_shape=(4, 4))
    with pytest.raises(ValueError, match=r"must be built before it is used"):
        use(model, binary_images())
    model.build((None, 4, 4))
    use(model, binary_images())


def test_unbuilt_mades_answer_nothing():
    model = BernoulliMADE((16,), event_shape=(4, 4), seed=0)
    x = binary_images()
    for use in (lambda: model.sample(2), lambda: model.log_prob(x)):
        with pytest.raises(ValueError, match="must be built before it is used"):
            use()


_CALLS = {
    "train": lambda m, x, **kwargs: m.train_on_batch(x, **kwargs),
    "test": lambda m, x, **kwargs: m.test_on_batch(x, **kwargs),
    "predict": lambda m, x, **kwargs: m.predict_on_batch(x),
}


@pytest.mark.parametrize("name", _CALLS)
def test_single_batches_are_checked(name):
    call = _CALLS[name]
    model = small_dlgm(annealing=None)
    model.compile("adam", run_eagerly=True)
    x = binary_images(5).astype("float32")
    with pytest.raises(ValueError, match="got uint8: scale with `x / 255`"):
        call(model, (255 * x).astype("uint8"))
    with pytest.raises(ValueError, match=r"must be in \[0, 1\] .*from 0 to 3,"):
        call(model, 3.0 * x)
    model.build((None, 4, 4))
    with pytest.raises(ValueError, match="must hold images of shape"):
        call(model, x[:, :3])
    with pytest.raises(ValueError, match="one batch here.*got .*Data"):
        call(model, tf.data.Dataset.from_tensor_slices(x).batch(5))
    if name != "predict":
        with pytest.raises(ValueError, match="`sample_weight` must be None"):
            call(model, x, sample_weight=np.ones(5))
    # What it returns is what the others return of one batch.
    again = small_dlgm(annealing=None)
    again.build((None, 4, 4))
    again.set_weights(model.get_weights())
    again.compile("adam", run_eagerly=True)
    if name == "predict":
        np.testing.assert_array_equal(
            call(model, {"image": x}), again.predict(x, verbose=0)
        )
        return
    logs = call(model, (x,), return_dict=True)
    if name == "train":
        history = again.fit(x, verbose=0, shuffle=False).history
        expected = {key: value[0] for key, value in history.items()}
    else:
        expected = again.evaluate(x, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=1e-6)


def test_callback_lists():
    epochs = []
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epochs.append(logs["elbo"])
    )
    given = keras.callbacks.CallbackList([record])
    model = small_dlgm()
    model.compile("adam", run_eagerly=True)
    with pytest.warns(UserWarning, match="other than 0 and 1"):
        history = model.fit(
            tf.data.Dataset.from_tensors(0.5 * binary_images()),
            callbacks=given,
            verbose=0,
        ).history
    assert epochs == history["elbo"]
    assert given.callbacks == [record]
    model.evaluate(binary_images(), callbacks=given, verbose=0)


@pytest.mark.slow
def test_integers_of_numpy(tmp_path):
    three = np.int64(3)
    keras.utils.set_random_seed(0)
    model = DLGM(
        MLP([6]),
        FlowPosterior(three, base="low_rank", rank=np.int32(2), seed=three),
        MLP([6], 16),
        num_importance_samples=three,
        event_shape=[np.int64(16)],
        annealing=KLAnnealing(three, np.float32(0.5)),
        seed=three,
    )
    model.compile("adam", run_eagerly=True)
    x = binary_images()
    model.fit(x, batch_size=np.int64(10), epochs=np.int64(1), verbose=0)
    model.evaluate(x, batch_size=three, steps=np.int64(2), verbose=0)
    assert model.predict(x, batch_size=three, verbose=0).shape == (20, 16)
    assert model.sample(three, seed=three).shape == (3, 16)
    assert model.reconstruct(x, seed=three).shape == (20, 16)
    estimates = [
        model.log_marginal_likelihood(
            x[:4],
            kind(4),
            batch_size=kind(2),
            samples_per_chunk=kind(2),
            seed=kind(3),
            jit_compile=False,
            verbose=0,
        ).estimates
        for kind in (np.int64, int)
    ]
    np.testing.assert_array_equal(*estimates)
    context = model.encoder(x.reshape([20, 16])[:2])
    for shape in (three, [three], np.array([3]), tf.TensorShape([3])):
        z, _ = model.posterior.sample_and_log_prob(context, shape, seed=three)
        assert z.shape == (3, 2, 3)
    with pytest.raises(ValueError, match=r"`sample_shape` must be .*got 2\.0"):
        model.posterior.sample_and_log_prob(context, 2.0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    configs = [json.dumps(m.get_config()) for m in (loaded, model)]
    assert configs[0] == configs[1]
    made = BernoulliMADE((16,), event_shape=(np.int64(16),), seed=0)
    made.build((None, 16))
    assert made.sample(three, seed=three).shape == (3, 16)


@pytest.mark.parametrize(
    ("likelihood", "num_parameters"), [("bernoulli", 1), ("gaussian", 2)]
)
def test_decoders_of_images_turned_on_their_side(likelihood, num_parameters):
    def build(image_shape):
        decoder = ConvolutionalDecoder(
            image_shape, (2,), num_parameters=num_parameters
        )
        model = DLGM(MLP([6]), FlowPosterior(3), decoder, likelihood)
        model.build((None, 4, 6))

    with pytest.raises(ValueError, match=r"`decoder` must .*shape \(4, 6\)"):
        build((6, 4))
    build((4, 6))


def test_likelihoods_of_images_turned_on_their_side():
    def likelihood(outputs):
        return tfd.Independent(tfd.Bernoulli(outputs, dtype=outputs.dtype), 2)

    decoder = keras.Sequential([MLP([6], 24), keras.layers.Reshape((6, 4))])
    model = DLGM(MLP([6]), FlowPosterior(3), decoder, likelihood)
    model.compile("adam", run_eagerly=True)
    with pytest.raises(ValueError, match=r"`likelihood` must .*shape \(4, 6\)"):
        model.fit(np.zeros([5, 4, 6]), verbose=0)
