"""When "auto" compiles with XLA, and what a user is told before `fit`."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import digits
from tfp_flows.layers import MLP, PlanarFlow, RadialFlow
from tfp_flows.models import BernoulliMADE, compilation
from tfp_flows.models.dlgm import DLGM
from tfp_flows.posteriors import FlowPosterior


class ReachedTheSteps(Exception):
    """Raised where Keras makes what `fit` runs: nothing is compiled here."""


@pytest.fixture
def found(monkeypatch):
    """For every `fit`: whether XLA would compile, and what it replaces."""
    calls = []

    def make_train_function(self, force=False):
        calls.append((self.jit_compile, self.train_function))
        raise ReachedTheSteps

    monkeypatch.setattr(keras.Model, "make_train_function", make_train_function)
    return calls


def fit(model, epochs=1, **kwargs):
    """10 updates an epoch."""
    with pytest.raises(ReachedTheSteps):
        model.fit(digits.images(100), batch_size=10, epochs=epochs, **kwargs)


@pytest.mark.parametrize(
    ("num_updates", "num_flow_steps", "expected"),
    [
        (45, 8, False),  # README's example
        (1_999, 0, False),
        (2_000, 0, True),
        (999, 8, False),
        (1_000, 8, True),
        (333, 40, False),
        (334, 40, True),
        (None, 0, True),
    ],
)
def test_xla_is_worth_it(num_updates, num_flow_steps, expected):
    assert compilation.is_worth_xla(num_updates, num_flow_steps) is expected


def test_steps_of_all_flows_count():
    posterior = FlowPosterior(2, [PlanarFlow(3), RadialFlow(4)])
    prior = FlowPosterior(2, PlanarFlow(5), amortized=False)
    assert compilation.count_flow_steps(posterior, prior) == 12
    assert compilation.count_flow_steps(FlowPosterior(2), None) == 0


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        return np.zeros([5, 4])


def batches(count=23):
    return tf.data.Dataset.from_tensor_slices(np.zeros([count, 4])).batch(5)


@pytest.mark.parametrize(
    ("x", "changes", "expected"),
    [
        (np.zeros([101, 4]), {}, 3 * 11),
        (tf.zeros([101, 4]), {}, 3 * 11),
        (np.zeros([101, 4]), {"batch_size": None}, 3 * 4),
        (np.zeros([101, 4]), {"validation_split": 0.2}, 3 * 8),
        (np.zeros([101, 4]), {"steps_per_epoch": 2}, 3 * 2),
        (batches(), {"batch_size": None}, 3 * 5),
        (batches().repeat(), {"batch_size": None}, None),
        (batches().repeat(), {"steps_per_epoch": 9}, 3 * 9),
        (batches().filter(lambda _: True), {}, None),
        (Batches(), {"batch_size": None}, 3 * 7),
    ],
)
def test_planned_batches(x, changes, expected):
    arguments = {
        "epochs": 3,
        "batch_size": 10,
        "steps_per_epoch": None,
        "validation_split": 0.0,
        **changes,
    }
    assert compilation.planned_batches(x, **arguments) == expected


def test_auto_compiles_a_long_fit(found):
    model = digits.compiled(jit_compile="auto")  # K = 2: 1,600 updates
    for epochs in (159, 160):
        fit(model, epochs)
        assert model.jit_compile is True  # of what else may be compiled
    # A training that goes on is compiled as it was.
    fit(digits.compiled(jit_compile="auto"), 160, initial_epoch=159)
    assert [uses_xla for uses_xla, _ in found] == [False, True, True]


def test_a_long_fit_after_a_short_one_compiles_anew_and_it_stays_so(found):
    model = digits.compiled(jit_compile="auto")
    fit(model)
    model.train_function = model.test_function = graph = object()
    fit(model)
    fit(model, 160)
    assert model.test_function is None
    model.train_function = compiled = object()
    fit(model)
    model.compile("sgd")
    fit(model)
    assert found == [
        (False, None),
        (False, graph),
        (True, None),
        (True, compiled),
        (False, None),
    ]


@pytest.mark.parametrize("jit_compile", [True, False])
def test_what_was_asked_for_is_done(found, jit_compile):
    model = digits.compiled(jit_compile=jit_compile)
    for epochs in (1, 160):
        fit(model, epochs)
    assert found == [(jit_compile, None)] * 2


def test_auto_does_not_compile_what_runs_eagerly(found):
    fit(digits.compiled(jit_compile="auto", run_eagerly=True), 160)
    assert found == [(False, None)]


def test_uncompiled_model_is_refused_as_by_keras(capsys):
    with pytest.raises(ValueError, match="compile"):
        digits.model().fit(digits.images(10))
    assert capsys.readouterr().out == ""


def test_compilation_is_said_once_and_not_if_quiet(found, capsys):
    def said(model, **kwargs):
        fit(model, **kwargs)
        return capsys.readouterr().out

    model = digits.compiled(jit_compile=True)
    assert said(model, verbose=0) == ""
    for verbose in ("auto", 1, 2):
        (line,) = said(model, verbose=verbose).splitlines()
        assert line.startswith("Compiling with XLA before the first step")
    model.train_function = object()
    assert said(model) == ""
    assert said(digits.compiled(jit_compile="auto")) == ""  # a short fit
    made = BernoulliMADE((64,))
    made.compile("sgd", jit_compile=True)
    assert said(made).startswith("Compiling with XLA")


def test_tensorboard_without_its_package_is_refused_before_it_trains(
    monkeypatch, tmp_path
):
    model = DLGM(MLP([2]), FlowPosterior(2), MLP([2], 64))
    model.compile("sgd", jit_compile=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    board = keras.callbacks.TensorBoard(tmp_path)
    stopping = keras.callbacks.EarlyStopping()
    for callbacks in (
        board,
        [stopping, board],
        keras.callbacks.CallbackList([stopping, board]),
    ):
        with pytest.raises(ImportError, match="pip install tensorboard"):
            model.fit(digits.images(10), callbacks=callbacks)
    assert int(model.optimizer.iterations) == 0
    compilation.check_callbacks(stopping)
    compilation.check_callbacks(None)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_of_one_execution_are_those_of_several(jit_compile):
    """With an execution cut short, and a last batch that is."""
    found = []
    for steps_per_execution in (1, 3):
        model = digits.model()
        model.compile(
            keras.optimizers.Adam(0.01),
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
        )
        history = model.fit(
            digits.images(95),
            batch_size=20,
            epochs=2,
            shuffle=False,
            validation_data=digits.images(30),
            verbose=0,
        ).history
        weights = [np.asarray(w) for w in model.trainable_weights]
        found.append(tf.nest.flatten([history, weights]))
        assert int(model.optimizer.iterations) == 10
    for one, several in zip(*found, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-5, atol=1e-6)
