"""Tests of the choice of devices, and of a run on two of them."""

import functools
import importlib.metadata
import types

import pytest
import tensorflow as tf
from absl import logging as absl_logging

from configs import energy_2d
from tests.distributed import mirrored_strategy, on_two_cpus
from tests.trainers import image_runs
from trainers import run
from trainers.runs import devices, errors, train_steps, workdir, workers


def test_default_is_one_device():
    made = devices.make("default")
    assert made.strategy is tf.distribute.get_strategy()
    assert (made.num_replicas, made.num_workers) == (1, 1)
    assert made.is_chief
    assert made.may_compile


def test_unknown_name_is_refused():
    with pytest.raises(errors.InputError, match="default, mirrored, .*; got"):
        devices.make("gpu")


@pytest.mark.parametrize("num_gpus", [0, 1])
def test_auto_says_what_it_picked(monkeypatch, caplog, num_gpus):
    absl_logging.set_verbosity(absl_logging.INFO)
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda _: ["gpu"] * num_gpus
    )
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(devices, "_has_tpu", lambda: False)
    assert devices.make("auto").strategy is tf.distribute.get_strategy()
    device = "one GPU" if num_gpus else "the CPU"
    assert f"Computing on {device}." in caplog.text
    absl_logging.set_verbosity(absl_logging.WARNING)


def test_auto_mirrors_several_gpus(monkeypatch):
    made = object()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [1, 2])
    monkeypatch.setattr(devices, "_mirrored", lambda: made)
    monkeypatch.setattr(devices, "_has_tpu", lambda: False)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert devices.make("auto").strategy is made


def test_auto_takes_configured_workers(monkeypatch):
    made = object()
    monkeypatch.setattr(workers, "count_configured", lambda: 2)
    monkeypatch.setattr(workers, "strategy", lambda: made)
    assert devices.make("auto").strategy is made


def test_auto_takes_a_tpu_that_is_shown(monkeypatch):
    made = object()
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.20.0")
    monkeypatch.setenv("TPU_NAME", "local")
    monkeypatch.setattr(devices, "_on_tpu", lambda tpu: made)
    assert devices.make("auto").strategy is made


def test_a_tpu_that_is_not_there_is_refused():
    with pytest.raises(
        errors.InputError, match="its build tensorflow-tpu; got"
    ):
        devices.make("tpu")


class _Resolver:
    def __init__(self, kind, index, **cluster):
        self.task_type, self.task_id = kind, index
        self._spec = tf.train.ClusterSpec(cluster)

    def cluster_spec(self):
        return self._spec


def _of_workers(monkeypatch, kind, index, num_local=1, **cluster):
    """Devices whose strategy says so, and does not compute."""
    resolver = _Resolver(kind, index, **cluster)
    size = sum(map(len, cluster.values()))
    strategy = types.SimpleNamespace(
        cluster_resolver=resolver, num_replicas_in_sync=size * num_local
    )
    monkeypatch.setattr(
        tf.distribute, "MultiWorkerMirroredStrategy", types.SimpleNamespace
    )
    return devices.Devices(strategy)


def test_the_first_worker_is_the_chief_unless_there_is_one(monkeypatch):
    two, chief = {"worker": ["a:1", "b:1"]}, {"chief": ["c:1"]}
    of = functools.partial(_of_workers, monkeypatch)
    assert of("worker", 0, **two).is_chief
    assert of("worker", 0, **two).reader == ""
    assert of("worker", 1, **two).reader == "worker 1"
    assert of("worker", 0, **two, **chief).reader == "worker 0"
    assert of("chief", 0, **two, **chief).is_chief
    assert of("chief", 0, **two, **chief).num_workers == 3


def test_workers_that_see_other_steps_are_refused(monkeypatch):
    seen = _of_workers(monkeypatch, "worker", 1, worker=["a:1", "b:1"])
    sums = iter([7.0, 1.0])  # the chief's step, and whether one differs
    monkeypatch.setattr(workers, "sum_over", lambda *_: next(sums))
    with pytest.raises(errors.InputError, match="same checkpoints; got step 5"):
        seen.check_same_step(5, "runs/a")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_lost_worker_is_no_full_disk(monkeypatch, wrapped):
    strategy = _of_workers(
        monkeypatch, "worker", 0, worker=["a:1", "b:1"]
    ).strategy
    lost = tf.errors.UnavailableError(None, None, "gone")

    def fail():
        if not wrapped:
            raise lost
        with workdir.writing("checkpoints"):
            raise lost

    with pytest.raises(errors.WorkerLostError, match="gone"):
        with devices.watch(strategy):
            fail()
    alone = tf.distribute.get_strategy()
    with pytest.raises((tf.errors.UnavailableError, errors.StorageError)):
        with devices.watch(alone):
            fail()


def test_a_target_is_not_fitted_by_several_workers(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "count_configured", lambda: 2)
    with pytest.raises(errors.InputError, match="one worker at most .* got 2"):
        run.train_and_evaluate(
            energy_2d.get_config("runlocal"), str(tmp_path / "new"), "auto"
        )
    assert not (tmp_path / "new").exists()


def make_config(**training):
    # Batches of 24: two shares of 12; validation batches of 70 and a rest.
    return image_runs.make_config(batch_size=24, num_steps=20, **training)


def mirrored_run(path, config):
    run.train_and_evaluate(config, str(path), mirrored_strategy(), mode="train")


@pytest.mark.slow
@pytest.mark.distributed
def test_two_replicas_train_as_one(tmp_path):
    config = make_config()
    on_two_cpus(mirrored_run, tmp_path / "two", config)
    run.train_and_evaluate(config, str(tmp_path / "one"), mode="train")
    one, two = (image_runs.metrics(tmp_path / n) for n in ("one", "two"))
    assert [line["step"] for line in two] == [10, 20]
    for line, expected in zip(two, one, strict=True):
        assert line == pytest.approx(expected, rel=1e-4)


def interrupted_mirrored_run(path, config):
    """An uninterrupted run, and one that goes on from a checkpoint."""
    whole = mirrored_strategy()
    run.train_and_evaluate(config, str(path / "whole"), whole)
    call = train_steps.TrainSteps.__call__

    def interrupted(self, iterator, count):
        if int(tf.convert_to_tensor(self._model.optimizer.iterations)) >= 17:
            raise KeyboardInterrupt
        call(self, iterator, count)

    train_steps.TrainSteps.__call__ = interrupted
    try:
        run.train_and_evaluate(config, str(path / "again"), whole)
    except KeyboardInterrupt:
        pass
    finally:
        train_steps.TrainSteps.__call__ = call
    run.train_and_evaluate(config, str(path / "again"), whole)


@pytest.mark.slow
@pytest.mark.distributed
def test_two_replicas_resume_bitwise(tmp_path):
    on_two_cpus(interrupted_mirrored_run, tmp_path, make_config())
    again, whole = tmp_path / "again", tmp_path / "whole"
    assert len(image_runs.read(again / "run.json")) == 2
    assert image_runs.metrics(again) == image_runs.metrics(whole)
    results = image_runs.results(whole)
    assert results["num_replicas"] == 2
    assert image_runs.results(again) == results


def test_batch_that_does_not_divide_is_refused(tmp_path):
    class TwoReplicas:
        num_replicas_in_sync = 2

    config = make_config()
    config.training.batch_size = 25
    with pytest.raises(errors.InputError, match="positive multiple .* 2; got"):
        run.train_and_evaluate(config, str(tmp_path / "new"), TwoReplicas())
    assert not (tmp_path / "new").exists()
