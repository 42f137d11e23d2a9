"""Keras's callbacks on what a DLGM logs, on scikit-learn's digits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import datasets

from tfp_flows.layers import MLP
from tfp_flows.models import DLGM
from tfp_flows.posteriors import FlowPosterior


@pytest.fixture(scope="module")
def digits():
    return (datasets.load_digits().images[:150] > 7).astype(np.float32)


def _model(learning_rate=0.01, **compile_arguments):
    keras.utils.set_random_seed(0)
    model = DLGM(MLP([16]), FlowPosterior(2), MLP([16], output_size=64))
    model.compile(
        keras.optimizers.Adam(learning_rate),
        **(compile_arguments or {"run_eagerly": True}),
    )
    return model


def _fit(model, digits, epochs, *callbacks):
    return model.fit(
        digits[:100],
        validation_data=digits[100:],
        batch_size=50,
        epochs=epochs,
        callbacks=list(callbacks),
        verbose=0,
    ).history


def _up_then_down():
    """Climbs for two epochs, and descends from the third on."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch: 0.01 if epoch < 2 else -0.01
    )


def _elbo(model, x):
    return model.evaluate(x, verbose=0, return_dict=True)["elbo"]


def test_early_stopping_and_checkpoint(digits, tmp_path):
    model = _model()
    stopping = keras.callbacks.EarlyStopping(
        "val_elbo", mode="max", patience=2, restore_best_weights=True
    )
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}.keras",
        monitor="val_elbo",
        mode="max",
        save_best_only=True,
    )
    values = _fit(model, digits, 9, _up_then_down(), stopping, checkpoint)[
        "val_elbo"
    ]
    assert values[0] < values[1] > values[2] > values[3]
    # Stopped two epochs after the best, and went back to it.
    assert len(values) == 4
    assert stopping.best_epoch == 1
    np.testing.assert_allclose(_elbo(model, digits[100:]), values[1], rtol=1e-5)
    # Saved after the first two, loads as the better.
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["1.keras", "2.keras"]
    best = keras.saving.load_model(tmp_path / "2.keras")
    np.testing.assert_allclose(_elbo(best, digits[100:]), values[1], rtol=1e-5)


def test_reduce_learning_rate_on_plateau(digits):
    def plateau():
        return keras.callbacks.ReduceLROnPlateau(
            "val_elbo", mode="max", factor=0.1, patience=1
        )

    rising = _fit(_model(0.01), digits, 2, plateau())
    assert rising["val_elbo"] == sorted(rising["val_elbo"])
    np.testing.assert_allclose(rising["learning_rate"], [0.01] * 2)
    still = _fit(_model(1e-9), digits, 3, plateau())
    np.testing.assert_allclose(still["learning_rate"], [1e-9, 1e-9, 1e-10])


def _scalars(directory):
    """Scalars by tag, in the order of their steps."""
    found = {}
    for path in sorted(directory.glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    number = float(tf.make_ndarray(value.tensor))
                    found.setdefault(value.tag, []).append(number)
    return found


def test_tensorboard(digits, tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path)
    model = _model(jit_compile=False)
    history = _fit(model, digits, 1, board)
    train, validation = map(
        _scalars, [tmp_path / "train", tmp_path / "validation"]
    )
    for name in ("loss", "elbo", "kl", "reconstruction"):
        for scalars, prefix in ((train, ""), (validation, "val_")):
            np.testing.assert_allclose(
                scalars[f"epoch_{name}"], history[prefix + name], rtol=1e-6
            )
