"""Tests of whole runs on densities: numbers, resumption, pictures."""

import json
import math
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from configs import binarized_mnist, density_2d, sbibm, uci_density
from tests.trainers import image_runs
from tests.trainers.densities import references
from tests.trainers.densities import tables as written
from trainers import run
from trainers.densities import build, data, experiment, reuse, two_samples
from trainers.densities.train import DensityRun
from trainers.runs import errors
from trainers.sources import images, uci


def make_config(get_config, arg, **training):
    """A few seconds, most of them for the graphs."""
    config = get_config(arg)
    config.training.update(
        {
            "num_steps": 40,
            "batch_size": 32,
            "jit_compile": False,
            "steps_per_execution": 7,
            "log_steps": 10,
            "checkpoint_steps": 15,
            **training,
        }
    )
    config.optimizer.warmup_steps = 5
    return config


def make_table_config(arg="data=fish,model=maf", **training):
    config = make_config(
        uci_density.get_config, arg, validation_steps=10, **training
    )
    config.model.update(hidden_units=(8,), conditioner_hidden_units=(8,))
    if config.model.flow != "none":
        config.model.num_flow_steps = 1
    # All that draws noise, or changes the weights, in training.
    config.model.update(dropout=0.2, noise_scale=0.1, context_noise_scale=0.1)
    config.optimizer.weight_decay = 0.1
    config.evaluation.pictures = False
    return config


def make_plane_config(arg="data=eight_gaussians,flow=planar,K=4", **training):
    config = make_config(density_2d.get_config, arg, **training)
    config.evaluation.update(num_samples=3_000, grid_size=40)
    config.model.conditioner_hidden_units = (8,)
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables")
    written.write(path)
    return str(path)


@pytest.fixture(scope="module")
def of_table(tmp_path_factory, folder):
    """An uninterrupted run on a table."""
    path = tmp_path_factory.mktemp("of_table")
    run.train_and_evaluate(make_table_config(), str(path), data_dir=folder)
    return path


@pytest.fixture(scope="module")
def of_plane(tmp_path_factory):
    """An uninterrupted run in the plane."""
    path = tmp_path_factory.mktemp("of_plane")
    run.train_and_evaluate(make_plane_config(), str(path))
    return path


def test_run_on_a_table_leaves_its_files(of_table):
    assert {p.name for p in of_table.iterdir()} == {
        "config.json",
        "run.json",
        "checkpoints",
        "best",
        "tensorboard",
        "metrics.jsonl",
        "test_log_likelihoods.npz",
        "results.json",
        "figures",
    }
    assert not list((of_table / "figures").iterdir())
    for line in image_runs.metrics(of_table):
        assert {"log_likelihood", "val_log_likelihood"} <= line.keys()
        assert "annealing" not in line


def test_results_say_what_was_run(of_table):
    results = image_runs.read(of_table / "results.json")
    expected = {
        "experiment": "uci_density",
        "dataset": "fish",
        "model": "1 maf steps, diagonal base",
        "seed": 0,
        "num_steps": 40,
        "stopped_early": False,
        "evaluated_weights": "best validation log-likelihood",
    }
    assert expected.items() <= results.items()
    lines = image_runs.metrics(of_table)
    best = max(lines, key=lambda line: line["val_log_likelihood"])
    assert results["evaluated_step"] == best["step"]
    assert results["best_validation_log_likelihood"] == pytest.approx(
        best["val_log_likelihood"]
    )
    assert results["seconds"] > 0
    assert results["protocol"]["num_test"] == 20
    assert results["protocol"]["test_rows"] == "a tenth, seeded"
    assert lines[-1]["log_likelihood"] > lines[0]["log_likelihood"]


def test_test_log_likelihood_is_the_mean_of_the_best_weights(of_table, folder):
    config = make_table_config()
    rows = data.load(config, folder)
    restored = DensityRun(config, rows, tf.distribute.get_strategy())
    restored.restore(str(of_table))
    restored.take_best_weights(str(of_table))
    targets, inputs = rows.test["x"], rows.test["context"]
    of_rows = [
        float(restored.model.distribution(x[None]).log_prob(y)[0])
        for x, y in zip(inputs, targets, strict=True)
    ]
    results = image_runs.read(of_table / "results.json")
    assert results["log_likelihood"] == pytest.approx(
        np.mean(of_rows), abs=1e-5
    )
    error = np.std(of_rows, ddof=1) / math.sqrt(20)
    assert results["log_likelihood_standard_error"] == pytest.approx(
        error, abs=1e-5
    )


def test_gaussian_log_likelihood_by_hand(folder, tmp_path):
    """That of raw targets, and the logarithm of the standardised ones' unit."""
    config = make_table_config("data=fish,model=gaussian", num_steps=10)
    config.evaluation.pictures = True
    results = run.train_and_evaluate(config, str(tmp_path), data_dir=folder)
    rows = data.load(config, folder)
    restored = DensityRun(config, rows, tf.distribute.get_strategy())
    restored.restore(str(tmp_path))
    restored.take_best_weights(str(tmp_path))
    density = restored.model.distribution(rows.test["context"])
    # Nothing is standardised once more behind the Gaussian.
    loc = density.distribution.mean().numpy()[:, 0]
    scale = density.distribution.stddev().numpy()[:, 0]
    raw = uci.read_csv(uci.find("fish_toxicity.csv", folder))[1][:, -1]
    (unit,) = results["protocol"]["target_scales"]
    y = rows.test["x"][:, 0]
    mean = np.median(np.sort(raw)[::-1] - unit * np.sort(_all(rows))[::-1])
    expected = stats.norm(mean + unit * loc, unit * scale).logpdf(
        mean + unit * y
    )
    assert results["log_likelihood"] == pytest.approx(
        expected.mean() + math.log(unit), abs=1e-4
    )
    for name in ("fan", "learning_curve"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 5_000


def _all(rows):
    parts = (rows.train, rows.validation, rows.test)
    return np.concatenate([part["x"][:, 0] for part in parts])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "plane"])
def test_resumed_run_equals_uninterrupted_bitwise(
    kind, of_table, of_plane, folder, tmp_path, monkeypatch
):
    finished, config = (
        (of_table, make_table_config())
        if kind == "table"
        else (of_plane, make_plane_config())
    )
    with monkeypatch.context() as patch:
        image_runs.on_call(patch, 24, image_runs.stop)  # after a checkpoint
        with pytest.raises(KeyboardInterrupt):
            run.train_and_evaluate(config, str(tmp_path), data_dir=folder)
    run.train_and_evaluate(config, str(tmp_path), data_dir=folder)
    assert image_runs.metrics(tmp_path) == image_runs.metrics(finished)
    actual, expected = map(image_runs.checkpointed, (tmp_path, finished))
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)
    differing = {"seconds"}
    actual, expected = map(image_runs.results, (tmp_path, finished))
    assert {k: v for k, v in actual.items() if k not in differing} == {
        k: v for k, v in expected.items() if k not in differing
    }


@pytest.mark.slow
def test_reused_model_gives_the_numbers_of_a_new_one(
    of_table, folder, tmp_path, monkeypatch
):
    made = []
    build_model = build.build_model
    monkeypatch.setattr(
        build,
        "build_model",
        lambda *arguments: made.append(1) or build_model(*arguments),
    )
    reusing = experiment.reusing_models()
    found = []
    for split in (1, 0):
        config = make_table_config(f"data=fish,model=maf,split={split}")
        config.evaluation.batch_size = 50  # makes no difference
        found.append(
            run.train_and_evaluate(
                config,
                str(tmp_path / str(split)),
                data_dir=folder,
                experiment=reusing,
            )
        )
        keras.utils.clear_session()  # as sweeps do
    assert len(made) == 1
    expected = image_runs.read(of_table / "results.json")
    for name in ("log_likelihood", "best_validation_log_likelihood"):
        assert found[1][name] == expected[name]
        assert found[0][name] != expected[name]
    assert image_runs.metrics(tmp_path / "0") == image_runs.metrics(of_table)


def test_models_of_other_configs_are_new_and_adapted_to_their_data(folder):
    models = reuse.Reuse()
    arguments = []
    for split, standardize in ((0, True), (1, True), (1, False)):
        config = make_table_config(f"data=fish,model=gaussian,split={split}")
        config.model.standardize = standardize
        arguments.append((config, data.load(config, folder)))
    first = models.make_model(*arguments[0])
    first.compile("adam")
    first.optimizer.build(first.trainable_variables)
    models.keep(first)
    x = arguments[1][1].test
    before = first.log_prob(x).numpy()
    first.trainable_variables[0].assign_add(
        tf.ones_like(first.trainable_variables[0])
    )
    again = models.make_model(*arguments[1])
    assert again is first
    new = build.build_model(*arguments[1])
    np.testing.assert_array_equal(again.log_prob(x), new.log_prob(x))
    assert np.any(again.log_prob(x) != before)
    assert models.make_model(*arguments[2]) is not first


def test_training_stops_early(folder, tmp_path):
    config = make_table_config(
        "data=fish,model=gaussian", num_steps=400, early_stopping_patience=2
    )
    config.optimizer.learning_rate = 0.5  # too much
    results = run.train_and_evaluate(config, str(tmp_path), data_dir=folder)
    assert results["stopped_early"]
    assert results["num_steps"] < 400
    assert results["evaluated_step"] == results["num_steps"] - 20


def test_run_in_the_plane_is_beside_the_entropy(of_plane):
    results = image_runs.read(of_plane / "results.json")
    assert results["kl"] == pytest.approx(
        -results["log_likelihood"] - results["entropy"], abs=0.05
    )
    assert results["kl"] > 0
    assert results["density_inside"] == pytest.approx(1.0, abs=0.05)
    assert results["evaluated_weights"] == "newest"
    for name in ("density", "learning_curve"):
        assert (of_plane / "figures" / f"{name}.png").stat().st_size > 10_000


@pytest.mark.slow
def test_evaluation_alone_gives_the_same_numbers(of_plane, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(of_plane, path)
    found = run.train_and_evaluate(make_plane_config(), str(path), mode="eval")
    expected = image_runs.read(of_plane / "results.json")
    for name in ("log_likelihood", "kl", "density_inside"):
        assert found[name] == expected[name]


@pytest.mark.slow
def test_data_without_known_entropy_have_none(tmp_path):
    config = make_plane_config("data=two_moons,flow=none", num_steps=10)
    results = run.train_and_evaluate(config, str(tmp_path))
    assert "entropy" not in results
    assert "kl" not in results


@pytest.fixture
def binary_images(monkeypatch):
    """In place of MNIST: 6 by 6 pixels of which one row is drawn."""
    rng = np.random.default_rng(0)
    drawn = np.zeros([300, 6, 6], np.uint8)
    drawn[np.arange(300), rng.integers(0, 6, 300)] = 1
    splits = images.ImageSplits(
        "binarized_mnist", drawn[:200], drawn[200:250], drawn[250:], 1
    )
    monkeypatch.setattr(images, "load_images", lambda *_: splits)


@pytest.mark.usefixtures("binary_images")
def test_made_is_trained_on_binary_images(tmp_path):
    config = make_config(
        binarized_mnist.get_config,
        "model=made,hidden=20,masks=2",
        validation_steps=20,
    )
    config.optimizer.learning_rate = 1e-2
    results = run.train_and_evaluate(config, str(tmp_path))
    assert results["experiment"] == "made"
    assert results["model"] == "MADE of 20 units, 2 sets of masks"
    lines = image_runs.metrics(tmp_path)
    assert lines[-1]["val_log_likelihood"] > lines[1]["val_log_likelihood"]
    assert results["log_likelihood"] < 0
    picture = tmp_path / "figures" / "samples.png"
    assert picture.stat().st_size > 1_000


def make_simulated_config(**training):
    config = make_config(
        sbibm.get_config, "data=two_moons,runlocal", **training
    )
    config.data.update(num_simulations=300, num_test=50)
    config.model.update(hidden_units=(8,), conditioner_hidden_units=(8,))
    config.evaluation.num_reference_draws = 20
    return config


@pytest.fixture
def written_references(tmp_path, monkeypatch):
    """In place of the package sbibm."""
    folder = tmp_path / "packages"
    found = references.write(folder, "two_moons", num_draws=30)
    monkeypatch.syspath_prepend(folder)
    return found


@pytest.mark.slow
def test_posterior_of_a_simulator_is_beside_its_references(
    written_references, tmp_path, monkeypatch
):
    def best_split(reference, draws, *, seed):  # in place of a network
        assert reference.shape == draws.shape == (20, 2)
        thresholds = np.sort(np.abs(np.concatenate([reference, draws])[:, 0]))
        shares = [
            (np.abs(reference[:, 0]) <= t).mean()
            - (np.abs(draws[:, 0]) <= t).mean()
            for t in thresholds
        ]
        return 0.5 + 0.5 * np.max(np.abs(shares))

    monkeypatch.setattr(two_samples, "classifier_two_sample_test", best_split)
    config = make_simulated_config(validation_steps=20)
    results = run.train_and_evaluate(config, str(tmp_path / "run"))
    assert results["experiment"] == "sbibm"
    assert results["protocol"] == {
        "dataset": "two_moons",
        "num_train": 270,
        "num_validation": 30,
        "num_test": 50,
    }
    assert results["num_reference_draws"] == 20
    assert len(results["c2st"]) == len(results["mmd2"]) == 10
    assert 0.5 < results["mean_c2st"] <= 1.0
    assert results["mean_mmd2"] > 0.01
    picture = tmp_path / "run" / "figures" / "posteriors.png"
    assert picture.stat().st_size > 10_000
    # No draw is outside of the prior, where the density is known to be 0.
    rows = data.load(config)
    of_run = DensityRun(config, rows, tf.distribute.get_strategy())
    drawn = of_run.model.sample(2_000, rows.references.observations)
    assert np.abs(drawn).max() <= 1.0 + 2e-5


@pytest.mark.slow
def test_made_on_the_real_images(tmp_path):
    if not os.environ.get("TFDS_DATA_DIR"):
        pytest.skip("TFDS_DATA_DIR is not set: not tested on real images.")
    config = binarized_mnist.get_config("model=made,hidden=50,runlocal")
    results = run.train_and_evaluate(config, str(tmp_path))
    assert results["protocol"]["num_train"] == 50_000
    assert -200 < results["log_likelihood"] < -120


def test_every_key_of_the_configs_is_read(
    folder, tmp_path, binary_images, written_references
):
    from tests.trainers.test_run import Recorder

    configs = {
        "plane": make_plane_config(num_steps=5),
        "table": make_table_config(num_steps=10),
        "made": make_config(
            binarized_mnist.get_config,
            "model=made,hidden=20",
            num_steps=5,
            validation_steps=10,
        ),
        "simulated": make_simulated_config(num_steps=5, validation_steps=10),
    }
    # Of settings of all flows, those that no flow here has.
    unread = {
        "model.num_orthogonal_columns",
        "model.num_householder_reflections",
        "model.num_sigmoids",
    }
    of_flows = {
        "model.conditioner_hidden_units",
        "model.conditioner_activation",
        "model.num_bins",
        "model.tail_bound",
    }
    for name, config in configs.items():
        seen = set()
        recorded = Recorder(config, seen)
        rows = data.load(recorded, folder)
        of_run = DensityRun(recorded, rows, tf.distribute.get_strategy())
        assert of_run.description
        of_run.batches(0)
        keys = {f"{g}.{key}" for g in config for key in config[g]}
        read_elsewhere = {
            "training.steps_per_execution",
            "training.log_steps",
            "training.checkpoint_steps",
            "training.checkpoints_to_keep",
            "training.validation_steps",
            "training.early_stopping_patience",
            "evaluation.batch_size",
            "evaluation.grid_size",
            "evaluation.half_width",
            "evaluation.num_reference_draws",
            "evaluation.pictures",
            "model.kind",
        }
        left = keys - seen - unread - read_elsewhere
        assert left <= (set() if name == "made" else of_flows), name


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        ("plane", {"data.dataset": "fish"}, "one of two_moons, pinwheel, .*"),
        ("plane", {"model.flow": "nice"}, "one of none, planar, .*"),
        ("plane", {"model.base": "wide"}, "one of diagonal, .*mixture"),
        ("plane", {"model.noise_scale": -1.0}, "not be negative"),
        ("plane", {"evaluation.num_samples": 0}, "at least 1; got 0"),
        ("plane", {"training.seed": -1}, r"in \[0, 2\*\*31\)"),
        ("plane", {"training.batch_size": 0}, "a positive multiple"),
        ("table", {"data.dataset": "checkerboard"}, "one of fish, concrete"),
        ("table", {"data.split": 20}, "from 0 to 19; got 20"),
        ("table", {"data.validation_share": 1.0}, "between 0 and 1; got 1.0"),
        ("table", {"data.largest_input": 0.0}, "positive and finite"),
        ("table", {"model.dropout": 1.0}, r"in \[0, 1\); got 1.0"),
        ("table", {"model.hidden_units": ()}, "hold integers that are at lea"),
        ("table", {"model.flow": "spline_coupling"}, "not be a coupling"),
        ("table", {"training.batch_size": 200}, "at most .* 153; got 200"),
        ("table", {"training.validation_steps": 15}, "multiple of .*log_steps"),
        ("made", {"data.dataset": "mnist"}, "one of binarized_mnist"),
        ("made", {"model.num_masks": 0}, "at least 1; got 0"),
        ("made", {"model.activation": "sine"}, "one of elu, gelu"),
        ("simulated", {"data.num_simulations": 1}, "at least 2; got 1"),
        ("simulated", {"data.dataset": "lotka"}, "one of two_moons, gaussian"),
    ],
)
def test_bad_setting_is_refused(config, changes, message, folder, tmp_path):
    config = {
        "plane": make_plane_config,
        "table": make_table_config,
        "simulated": make_simulated_config,
        "made": lambda: make_config(
            binarized_mnist.get_config, "model=made", validation_steps=10
        ),
    }[config]()
    for key, value in changes.items():
        with config.ignore_type():
            config.update_from_flattened_dict({key: value})
    (key,) = changes
    with pytest.raises(errors.InputError, match=f"`{key}` must .*{message}"):
        run.train_and_evaluate(config, str(tmp_path / "new"), data_dir=folder)
    assert not (tmp_path / "new").exists()


def test_equal_dropout_on_several_replicas_is_refused():
    config = make_table_config()
    with pytest.raises(errors.InputError, match="be 0 on several replicas"):
        build.check_config(config, num_replicas=2)
    config.model.dropout = 0.0
    build.check_config(config, num_replicas=2)


def test_config_is_what_was_run(of_table):
    expected = json.loads(json.dumps(make_table_config().to_dict()))
    assert image_runs.read(of_table / "config.json") == expected
