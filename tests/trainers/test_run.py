"""Tests of whole runs: files, numbers, resumption, refusals."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from tests.trainers.image_runs import (
    checkpointed,
    metrics,
    on_call,
    read,
    stop,
)
from trainers import run
from trainers.energies import experiment
from trainers.runs import errors


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_config):
    """An uninterrupted run, compiled with XLA as the real ones are."""
    path = tmp_path_factory.mktemp("finished")
    run.train_and_evaluate(tiny_config(), str(path))
    return path


def test_run_leaves_the_files_of_a_run(finished, tiny_config):
    files = {p.name for p in finished.iterdir()}
    assert files == {
        "config.json",
        "run.json",
        "checkpoints",
        "tensorboard",
        "metrics.jsonl",
        "results.json",
        "histogram.npz",
        "figures",
    }
    assert (finished / "figures" / "density.png").stat().st_size > 10_000
    expected = json.loads(json.dumps(tiny_config().to_dict()))
    assert read(finished / "config.json") == expected
    assert [line["step"] for line in metrics(finished)] == [10, 20, 30, 40]


def test_run_json_tells_what_ran_and_names_no_machine(finished):
    (record,) = read(finished / "run.json")
    assert record["versions"]["tensorflow"] == tf.__version__
    assert {"started", "command", "commit", "dirty", "hardware"} <= set(record)
    assert not record["command"][0].startswith("/")


def test_results_are_consistent(finished):
    results = read(finished / "results.json")
    assert results["kl"] == pytest.approx(
        results["free_energy"] + results["log_normalizer"]
    )
    assert results["kl"] > -3 * results["standard_error"]
    assert results["num_samples"] == 1_500
    assert results["num_steps"] == 40
    assert results["num_parameters"] == 14
    assert 0.0 <= results["share_outside"] <= 1.0
    assert results["density_inside"] == pytest.approx(1.0, abs=0.02)
    assert results["seconds_per_step"] > 0
    assert results["config"]["data"]["target"] == "u1"


def test_evaluation_alone_gives_the_same_numbers(
    finished, tiny_config, tmp_path
):
    path = tmp_path / "copy"
    shutil.copytree(finished, path)
    (path / "results.json").unlink()
    results = run.train_and_evaluate(tiny_config(), str(path), mode="eval")
    for key in ("free_energy", "standard_error", "share_outside"):
        assert results[key] == read(finished / "results.json")[key]


def test_evaluation_without_a_checkpoint_is_refused(tmp_path, tiny_config):
    with pytest.raises(errors.InputError, match="must hold a checkpoint"):
        run.train_and_evaluate(tiny_config(), str(tmp_path), mode="eval")


def test_resumed_run_equals_uninterrupted_bitwise(
    finished, tiny_config, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        # The newest checkpoint is of step 20.
        on_call(patch, 30, stop)
        with pytest.raises(KeyboardInterrupt):
            run.train_and_evaluate(tiny_config(), str(tmp_path))
    assert [line["step"] for line in metrics(tmp_path)] == [10, 20, 30]

    run.train_and_evaluate(tiny_config(), str(tmp_path))
    assert metrics(tmp_path) == metrics(finished)
    assert len(read(tmp_path / "run.json")) == 2
    actual, expected = checkpointed(tmp_path), checkpointed(finished)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)
    for key in ("free_energy", "standard_error", "density_inside"):
        assert (
            read(tmp_path / "results.json")[key]
            == read(finished / "results.json")[key]
        )


@pytest.mark.slow
def test_ctrl_c_saves_and_the_rest_is_bitwise_the_same(
    finished, tiny_config, tmp_path, monkeypatch
):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        on_call(patch, 20, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(errors.Interrupted, match="step 30 is saved in "):
            run.train_and_evaluate(tiny_config(), str(tmp_path))
    assert signal.signal(signal.SIGINT, before) == signal.default_int_handler
    run.train_and_evaluate(tiny_config(), str(tmp_path), mode="train")
    assert metrics(tmp_path) == metrics(finished)
    for name, value in checkpointed(finished).items():
        np.testing.assert_array_equal(checkpointed(tmp_path)[name], value)


def test_result_is_said_once(finished, tiny_config, tmp_path, capsys, caplog):
    path = tmp_path / "copy"
    shutil.copytree(finished, path)
    with caplog.at_level("INFO"):
        run.train_and_evaluate(tiny_config(), str(path), mode="eval")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("u1, nats: free energy ")
    assert str(path / "figures" / "density.png") in line
    assert "free energy" not in caplog.text


def test_short_last_execution_and_surplus_checkpoints(tmp_path, tiny_config):
    config = tiny_config(num_steps=25, checkpoint_steps=10, jit_compile=False)
    assert run.train_and_evaluate(config, str(tmp_path), mode="train") is None
    assert [line["step"] for line in metrics(tmp_path)] == [10, 20, 25]
    kept = (tmp_path / "checkpoints").glob("*.index")
    assert sorted(p.stem for p in kept) == ["ckpt-20", "ckpt-25"]
    assert not (tmp_path / "results.json").exists()


def test_training_lowers_the_free_energy(tmp_path, tiny_config):
    config = tiny_config(
        "target=u2,flow=radial,K=2", num_steps=400, jit_compile=False
    )
    config.training.update(
        {"steps_per_execution": 100, "log_steps": 100, "checkpoint_steps": 400}
    )
    config.optimizer.learning_rate = 2e-2
    run.train_and_evaluate(config, str(tmp_path), mode="train")
    first, *_, last = [line["free_energy"] for line in metrics(tmp_path)]
    assert last < first - 0.3


class Recorder:
    """A config that remembers which of its keys were read."""

    def __init__(self, config, seen, path=""):
        self.__dict__.update(_config=config, _seen=seen, _path=path)

    def get(self, name):
        return getattr(self, name) if name in self._config else None

    def __getattr__(self, name):
        value = getattr(self._config, name)
        if name == "to_dict":
            return value
        path = f"{self._path}.{name}".lstrip(".")
        if hasattr(value, "to_dict"):
            return Recorder(value, self._seen, path)
        self._seen.add(path)
        return value


@pytest.mark.slow
def test_every_key_of_the_config_is_read(tmp_path, tiny_config, monkeypatch):
    monkeypatch.setattr(experiment, "check_config", lambda *_: None)
    config = tiny_config(num_steps=20, jit_compile=False)
    seen = set()
    # One has a network; the others are of all kinds that have settings.
    for name, flow in (
        ("flow", "nice_perm"),
        ("cif", "planar"),
        ("hamiltonian", "planar"),
    ):
        config.posterior.update(name=name, flow=flow, num_bridges=2)
        run.train_and_evaluate(Recorder(config, seen), str(tmp_path / name))
    assert seen == {
        f"{group}.{name}" for group in config for name in config[group]
    }


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"model.name": "vae"}, {}, "`model.name` must be one of energy, mix"),
        ({}, {"mode": "play"}, "`mode` must be one of train, eval, .*'play'"),
        ({"posterior.num_flow_steps": 0}, {}, "must be at least 1; got 0"),
    ],
)
def test_refusals_leave_no_workdir(
    tmp_path, tiny_config, change, options, message
):
    config = tiny_config()
    for key, value in change.items():
        group, name = key.split(".")
        config[group][name] = value
    with pytest.raises(errors.InputError, match=message):
        run.train_and_evaluate(config, str(tmp_path / "new"), **options)
    assert not (tmp_path / "new").exists()


def test_strategy_of_several_replicas_is_refused(tmp_path, tiny_config):
    class TwoReplicas:
        num_replicas_in_sync = 2

    with pytest.raises(errors.InputError, match="one replica .* got 2"):
        run.train_and_evaluate(tiny_config(), str(tmp_path), TwoReplicas())
    assert not list(tmp_path.iterdir())
