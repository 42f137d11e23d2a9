"""Tests of a run on images from its first step to its results."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.trainers import image_runs
from tfp_flows import models
from trainers import run
from trainers.images import data, keep
from trainers.images import train as train_images
from trainers.runs import errors, train_steps


def train(config, path):
    return run.train_and_evaluate(config, str(path), mode="train")


def test_run_leaves_the_files_of_a_run(finished_images):
    assert {p.name for p in finished_images.iterdir()} == {
        "config.json",
        "run.json",
        "checkpoints",
        "best",
        "tensorboard",
        "metrics.jsonl",
        "results.json",
        "per_image.npz",
        "figures",
    }
    figures = {
        p.stem: p.stat().st_size
        for p in (finished_images / "figures").iterdir()
    }
    assert figures.keys() == {
        "samples",
        "reconstructions",
        "latent_traversals",
        "learning_curve",
        "contact_sheet",
    }
    assert min(figures.values()) > 5_000


def test_lines_of_the_log_are_complete(finished_images):
    lines = image_runs.metrics(finished_images)
    assert [line["step"] for line in lines] == [10, 20, 30, 40, 50, 60]
    names = {"elbo", "kl", "reconstruction", "loss"}
    for line in lines:
        validation = {f"val_{n}" for n in names if line["step"] % 20 == 0}
        other = {"step", "learning_rate", "annealing"}
        assert line.keys() == names | validation | other
        assert line["elbo"] == pytest.approx(
            line["reconstruction"] - line["kl"], abs=1e-3
        )
    assert lines[-1]["elbo"] > lines[0]["elbo"]


def test_event_files_say_what_the_log_says(finished_images):
    lines = image_runs.metrics(finished_images)
    folder = finished_images / "tensorboard"
    for name, prefix in (("train", ""), ("validation", "val_")):
        found = {
            (step, tag): value
            for step, tag, value in image_runs.events(folder / name)
        }
        for line in lines:
            if prefix + "elbo" in line:
                value = found[line["step"], "elbo"]
                assert value == pytest.approx(line[prefix + "elbo"])


def test_results_are_means_over_the_images(finished_images):
    results = image_runs.read(finished_images / "results.json")
    images = np.load(finished_images / "per_image.npz")
    assert len(images["elbo"]) == 300
    assert len(images["iwae_20"]) == results["num_iwae_images"] == 30
    for name in ("elbo", "kl", "reconstruction", "iwae_20"):
        assert results[name] == pytest.approx(images[name].mean())
        assert results[f"{name}_standard_error"] == pytest.approx(
            images[name].std(ddof=1) / len(images[name]) ** 0.5
        )
    assert results["elbo"] == pytest.approx(
        results["reconstruction"] - results["kl"]
    )
    # A tighter bound on the same images.
    assert images["iwae_20"].mean() > images["elbo"][:30].mean()


def test_results_say_what_was_run(finished_images):
    results = image_runs.read(finished_images / "results.json")
    expected = {
        "experiment": "dlgm",
        "dataset": "digits",
        "flow": "planar",
        "num_flow_steps": 2,
        "recipe": "modern",
        "seed": 0,
        "num_steps": 60,
        "num_planned_steps": 60,
        "unfinished": False,
        "stopped_early": False,
        "num_elbo_samples": 8,
    }
    assert expected.items() <= results.items()
    assert results["seconds_per_step"] > 0
    assert results["validation_nats_per_step"] is None  # of three points
    assert results["protocol"]["num_test"] == 300
    assert {"versions", "commit", "hardware", "finished"} <= results.keys()


@pytest.mark.slow
def test_per_image_bounds_are_the_models(finished_images):
    """With one sample of enough images they agree with Keras's evaluation."""
    config = image_runs.make_config("flow=planar,K=2")
    splits = data.load_splits(config)
    images = train_images.ImageRun(config, splits, tf.distribute.get_strategy())
    images.restore(str(finished_images))
    x = data.evaluation_images(splits, config, "test")
    loss = images.model.evaluate(x, verbose=0, return_dict=True)
    results = image_runs.read(finished_images / "results.json")
    assert results["evaluated_step"] == 60
    for name in ("elbo", "kl", "reconstruction"):
        assert results[name] == pytest.approx(loss[name], abs=0.15)


def test_evaluation_alone_gives_the_same_results(
    finished_images, tmp_path, capsys
):
    path = tmp_path / "copy"
    shutil.copytree(finished_images, path)
    (path / "results.json").unlink()
    config = image_runs.make_config("flow=planar,K=2")
    run.train_and_evaluate(config, str(path), mode="eval")
    assert image_runs.results(path) == image_runs.results(finished_images)
    (line,) = capsys.readouterr().out.splitlines()
    for word in ("elbo -", "+-", "iwae_20 -", str(path / "figures")):
        assert word in line


def test_evaluation_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(errors.InputError, match="must hold a checkpoint"):
        run.train_and_evaluate(
            image_runs.make_config(), str(tmp_path), mode="eval"
        )


@pytest.mark.slow
def test_steps_in_one_call_change_nothing(trained_images, tmp_path):
    config = image_runs.make_config(steps_per_execution=1000)
    train(config, tmp_path)
    assert image_runs.metrics(tmp_path) == image_runs.metrics(trained_images)


@pytest.mark.slow
def test_unfinished_run_is_the_beginning_of_the_planned_one(
    trained_images, tmp_path
):
    config = image_runs.make_config(stop_after_steps=40)
    results = run.train_and_evaluate(config, str(tmp_path))
    assert results["unfinished"]
    assert (results["num_steps"], results["num_planned_steps"]) == (40, 60)
    expected = image_runs.metrics(trained_images)[:4]
    assert image_runs.metrics(tmp_path) == expected


@pytest.mark.slow
def test_without_validation_the_newest_weights_are_evaluated(tmp_path):
    config = image_runs.make_config(
        num_steps=13, validation_steps=0, log_steps=5
    )
    with config.unlocked():
        config.data.num_validation = 0
    results = run.train_and_evaluate(config, str(tmp_path))
    assert results["evaluated_weights"] == "newest"
    assert results["evaluated_step"] == 13
    assert results["best_validation_elbo"] is None
    assert [p.name for p in (tmp_path / "best").iterdir()] == ["model.keras"]
    lines = image_runs.metrics(tmp_path)
    assert [line["step"] for line in lines] == [5, 10, 13]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arg",
    [
        "posterior=cif,flow=planar,K=2",
        pytest.param(
            "posterior=hamiltonian,flow=none,bridges=2",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bound_of_no_density_is_called_so_everywhere(tmp_path, arg):
    config = image_runs.make_config(arg, num_steps=40)
    with config.unlocked():
        config.evaluation.fewer_importance_samples = 5
    results = run.train_and_evaluate(config, str(tmp_path))
    names = {"auxiliary_elbo", "auxiliary_kl"}
    assert results["bound"] == "auxiliary_elbo"
    assert names | {"iwae_5", "iwae_20"} <= set(results)
    assert not {"elbo", "kl", "best_validation_elbo"} & set(results)
    assert results["evaluated_step"] in (20, 40)
    for line in image_runs.metrics(tmp_path)[1::2]:
        assert {f"val_{name}" for name in names} < set(line)
    bounds = {"auxiliary_elbo", "iwae_5", "iwae_20"}
    with np.load(tmp_path / "per_image.npz") as images:
        assert bounds <= set(images)
    kept = tmp_path / "kept"
    keep.keep(str(tmp_path), str(kept), figures=())
    with np.load(kept / "per_image.npz") as images:
        assert set(images) == bounds


class TestEarlyStopping:
    ELBOS = (-30.0, -20.0, -21.0, -22.0, -1.0, -1.0)

    @pytest.fixture
    def config(self):
        return image_runs.make_config(
            validation_steps=10, early_stopping_patience=2, num_steps=90
        )

    @pytest.fixture
    def scripted(self, monkeypatch):
        """Validations find the ELBOs above, by the step."""

        def evaluate(model, *_, **__):
            elbo = self.ELBOS[int(model.optimizer.iterations) // 10 - 1]
            return {"elbo": elbo, "loss": -elbo}

        monkeypatch.setattr(models.DLGM, "evaluate", evaluate)

    def check(self, path):
        lines = image_runs.metrics(path)
        assert [line["step"] for line in lines] == [10, 20, 30, 40]
        assert image_runs.checkpoint_steps(path)[-1] == 40
        assert image_runs.checkpoint_steps(path, "best") == [20]

    def test_stops_and_keeps_the_best(self, config, scripted, tmp_path):
        results = run.train_and_evaluate(config, str(tmp_path))
        self.check(tmp_path)
        assert results["stopped_early"]
        assert not results["unfinished"]
        assert results["evaluated_step"] == 20
        assert results["best_validation_elbo"] == -20.0

    @pytest.mark.slow
    def test_is_not_forgotten_by_an_interruption(
        self, config, scripted, tmp_path, monkeypatch
    ):
        with monkeypatch.context() as patch:
            interrupt(patch, at=32)  # the newest checkpoint is of step 30
            with pytest.raises(KeyboardInterrupt):
                train(config, tmp_path)
        train(config, tmp_path)
        self.check(tmp_path)
        train(config, tmp_path)  # has nothing left to do
        self.check(tmp_path)


def interrupt(patch, at):
    """Ends the process's training at the first call behind a step."""
    call = train_steps.TrainSteps.__call__

    def interrupted(self, iterator, count):
        if int(self._model.optimizer.iterations) + count > at:
            raise KeyboardInterrupt
        call(self, iterator, count)

    patch.setattr(train_steps.TrainSteps, "__call__", interrupted)


class TestNonFinite:
    def test_metric_and_step_are_named(self, tmp_path, monkeypatch):
        original = data.training_dataset

        def poisoned(splits, config, first_step=0):
            return (
                original(splits, config, first_step)
                .enumerate(first_step)
                .map(lambda t, x: tf.where(t == 23 - 1, np.nan, x))
            )

        monkeypatch.setattr(data, "training_dataset", poisoned)
        with pytest.raises(
            errors.NonFiniteError,
            match="`reconstruction`.* finite; got nan.* at step 23. The run",
        ):
            train(image_runs.make_config(), tmp_path)
        assert image_runs.checkpoint_steps(tmp_path) == [15]
        tensors = image_runs.checkpointed(tmp_path)
        broken = [k for k, v in tensors.items() if not np.isfinite(v).all()]
        assert [key.partition("/.")[0] for key in broken] == [
            "progress/best_elbo"  # -inf: no validation yet
        ]
        lines = image_runs.metrics(tmp_path)
        assert [line["step"] for line in lines] == [10, 20]

    @pytest.mark.slow
    def test_weights_are_not_saved(self, tmp_path, monkeypatch):
        """An update can break down although the step's loss was finite."""
        call = train_steps.TrainSteps.__call__

        def break_down(self, iterator, count):
            call(self, iterator, count)
            if int(self._model.optimizer.iterations) == 30:
                weight = self._model.trainable_variables[0]
                weight.assign(weight + np.inf)

        monkeypatch.setattr(train_steps.TrainSteps, "__call__", break_down)
        with pytest.raises(
            errors.NonFiniteError, match="`weights` .* update of step 30"
        ):
            train(image_runs.make_config(), tmp_path)
        assert image_runs.checkpoint_steps(tmp_path) == [15]


def test_full_disk_leaves_the_last_complete_checkpoint(tmp_path, monkeypatch):
    save = tf.train.CheckpointManager.save

    def full(manager, step):
        if "checkpoints" in manager.directory and step > 30:
            raise tf.errors.ResourceExhaustedError(None, None, "No space left")
        return save(manager, step)

    monkeypatch.setattr(tf.train.CheckpointManager, "save", full)
    with pytest.raises(
        errors.StorageError, match="No space left.*Last complete .* step 30"
    ):
        train(image_runs.make_config(), tmp_path)
    assert image_runs.checkpoint_steps(tmp_path) == [15, 30]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("training.log_steps", 0, "`training.log_steps` must be at least 1"),
        ("training.checkpoint_steps", -1, "must be at least 1; got -1"),
        ("training.validation_steps", 25, "a multiple of .*, 10; got 25"),
        ("training.stop_after_steps", -5, "must be at least 0; got -5"),
        ("evaluation.num_images", 0, "`evaluation.num_images` must be at"),
        ("data.dataset", "mnits", "`data.dataset` must be .* mean mnist"),
        ("data.path", "a.npz", "not be given with data.dataset=digits, but"),
        ("training.batch_size", 5_000, "at most the number of training"),
        ("model.name", "vae", "`model.name` must be one of energy, .*; got"),
    ],
)
def test_bad_value_is_refused_and_leaves_no_workdir(
    tmp_path, key, value, message
):
    config = image_runs.make_config()
    group, name = key.split(".")
    config[group][name] = value
    with pytest.raises(errors.InputError, match=message):
        run.train_and_evaluate(config, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_patience_needs_validation(tmp_path):
    config = image_runs.make_config(
        validation_steps=0, early_stopping_patience=1
    )
    with pytest.raises(errors.InputError, match="must be 0 without validation"):
        train(config, tmp_path)
