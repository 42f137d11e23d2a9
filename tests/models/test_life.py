"""A model's life: trained, saved, loaded elsewhere, trained on, served."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import MLP, PlanarFlow
from tfp_flows.models import DLGM, BernoulliMADE
from tfp_flows.posteriors import FlowPosterior

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary_images(count=20):
    return np.random.default_rng(0).integers(0, 2, [count, 4, 4]) * 1.0


def small_dlgm(optimizer="adam"):
    keras.utils.set_random_seed(0)
    model = DLGM(
        MLP([6]), FlowPosterior(3, PlanarFlow(2, seed=0)), MLP([6], 16)
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
