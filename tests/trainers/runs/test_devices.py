"""Tests of the choice of devices, and of a run on two of them."""

import pytest
import tensorflow as tf
from absl import logging as absl_logging

from tests.distributed import mirrored_strategy, on_two_cpus
from tests.trainers import image_runs
from trainers import run
from trainers.runs import devices, errors, train_steps


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
    assert devices.make("auto").strategy is tf.distribute.get_strategy()
    device = "one GPU" if num_gpus else "the CPU"
    assert f"Computing on {device}." in caplog.text
    absl_logging.set_verbosity(absl_logging.WARNING)


def test_auto_mirrors_several_gpus(monkeypatch):
    made = object()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [1, 2])
    monkeypatch.setattr(devices, "_mirrored", lambda: made)
    assert devices.make("auto").strategy is made


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
