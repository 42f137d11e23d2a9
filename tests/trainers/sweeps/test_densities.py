"""Tests of the sweeps over densities; nothing is trained."""

import json
import shutil

import numpy as np
import pytest

from configs import binarized_mnist, density_2d, sbibm, uci_density
from trainers import run
from trainers.densities import planar
from trainers.runs import errors
from trainers.sweeps import density_2d as planes
from trainers.sweeps import flow_pictures, made
from trainers.sweeps import sbibm as simulators
from trainers.sweeps import uci_density as sweep

PROVENANCE = {
    "protocol": {},
    "num_parameters": 5,
    "finished": "2030-01-02T03:04:05+00:00",
    "hardware": {},
    "commit": None,
    "dirty": None,
    "versions": {},
    "config": {},
}


@pytest.fixture
def ran(monkeypatch):
    """The configs of calls of `train_and_evaluate`, which writes results."""
    calls = []

    def train_and_evaluate(config, workdir, **_):
        calls.append(config)
        settings = config.model
        if settings.get("noise_scale") == 0.1:
            raise errors.NonFiniteError("`loss` must stay finite.")
        value = 1.0 - 0.1 * settings.get("dropout", 0.0)
        results = {
            "log_likelihood": -value,
            "log_likelihood_standard_error": 0.1,
            "best_validation_log_likelihood": -value,
            "evaluated_step": 5,
            "num_steps": 10,
            "seconds": 1.0,
            **PROVENANCE,
        }
        from pathlib import Path

        Path(workdir).mkdir(parents=True)
        (Path(workdir) / "results.json").write_text(json.dumps(results))
        if config.model.name == "uci_density":
            nats = np.log([1.0 + config.training.seed, 2.0])
            np.savez(Path(workdir) / "test_log_likelihoods.npz", nats=nats)
        if config.model.name == "density_2d":
            planar.save_density(workdir, np.full([10, 10], 0.01))
        return results

    monkeypatch.setattr(run, "train_and_evaluate", train_and_evaluate)
    return calls


def test_cells_are_of_the_command_line():
    config = planes.Cell("pinwheel", "maf", 2).config()
    expected = density_2d.get_config("data=pinwheel,flow=maf")
    expected.training.seed = 2
    assert config == expected
    config = made.Cell(500, 1, 32, "random", 1).config("runlocal")
    expected = binarized_mnist.get_config(
        "model=made,hidden=500,layers=1,masks=32,runlocal"
    )
    expected.training.seed = 1
    assert config == expected
    config = sweep.Cell("energy", "nsf", "dropout", 3).config()
    expected = uci_density.get_config("data=energy,model=nsf,split=3")
    expected.model.dropout = 0.1
    expected.evaluation.pictures = False
    assert config == expected
    config = simulators.Cell("slcp", 100_000, 1).config()
    expected = sbibm.get_config("data=slcp,simulations=100000")
    expected.training.seed = 1
    assert config == expected
    orders = ("random", "raster")
    paths = [
        cell.path for cell in made.cells((20, 10), (1,), (1, 4), orders, (0,))
    ]
    assert paths[0] == "hidden10_layers1_masks1_random_seed0"
    assert paths[-1] == "hidden20_layers1_masks4_raster_seed0"


@pytest.mark.parametrize("name", sweep.CANDIDATES)
def test_candidates_change_keys_that_there_are(name):
    for model in uci_density.MODELS:
        config = sweep.Cell("fish", model, name, 0).config()
        for key, value in sweep.CANDIDATES[name].items():
            group, key = key.split(".")
            assert config[group][key] == value


def places(path):
    return ["--workdir", str(path / "w"), "--results", str(path / "r")]


@pytest.mark.slow
def test_best_validated_candidate_is_run_on_all_splits(tmp_path, ran):
    arguments = [
        *places(tmp_path),
        *("--data", "fish", "--models", "gaussian", "--num_splits", "4"),
        *("--num_search_splits", "2", "--num_members", "2"),
        *("--candidates", "plain", "more_dropout", "more_noise"),
    ]
    sweep.main(arguments)
    dropouts = [config.model.dropout for config in ran]
    assert dropouts == [0.0, 0.0, 0.3, 0.3, 0.0, *6 * [0.3]]
    splits = [0, 1, 0, 1, 0, 2, 3, 0, 1, 2, 3]
    assert [config.data.split for config in ran] == splits
    assert [config.training.seed for config in ran] == [0] * 7 + [1] * 4
    path = tmp_path / "r" / "fish" / "gaussian" / "results.json"
    found = json.loads(path.read_text())
    assert found["chosen"] == "more_dropout"
    assert found["validation_log_likelihoods"].keys() == {
        "plain",
        "more_dropout",  # the other was not finite
    }
    assert len(found["splits"]) == 4
    assert found["splits"][0]["log_likelihood"] == pytest.approx(-0.97)
    # Densities 1 and 2 of the first row, and 2 of the other.
    expected = (np.log(1.5) + np.log(2.0)) / 2.0
    assert found["ensemble"]["num_members"] == 2
    np.testing.assert_allclose(
        found["ensemble"]["log_likelihoods"], [expected] * 4
    )
    sweep.main(arguments)
    assert len(ran) == 11


@pytest.mark.slow
def test_parts_of_a_sweep_share_groups(tmp_path, ran):
    sweep.main(
        [
            *places(tmp_path),
            *("--data", "fish", "energy", "--models", "maf", "nsf"),
            *("--candidates", "plain", "--num_splits", "1", "--part", "2/2"),
            *("--num_members", "1"),
        ]
    )
    assert [(c.data.dataset, c.model.kind) for c in ran] == [
        ("fish", "nsf"),
        ("energy", "nsf"),
    ]


def test_candidates_that_all_break_down_are_said(tmp_path, ran):
    with pytest.raises(SystemExit, match="error: `--candidates` must hold one"):
        sweep.main(
            [
                *places(tmp_path),
                *("--data", "fish", "--models", "maf"),
                *("--candidates", "more_noise"),
            ]
        )


@pytest.mark.slow
def test_densities_are_drawn_once_all_are_there(tmp_path, ran):
    arguments = [
        *places(tmp_path),
        *("--data", "pinwheel", "checkerboard", "--flows", "planar", "maf"),
        *("--seeds", "0", "1"),
    ]
    planes.main([*arguments, "--part", "1/2"])
    picture = tmp_path / "r" / "densities.png"
    assert not picture.exists()
    shutil.rmtree(tmp_path / "w")  # as when a session goes on elsewhere
    planes.main([*arguments, "--part", "2/2"])
    assert len(ran) == 8
    assert picture.stat().st_size > 10_000
    kept = tmp_path / "r" / "pinwheel" / "maf_seed1" / "results.json"
    assert kept.exists()


@pytest.mark.slow
def test_pictures_of_flows_that_are_there_are_left_alone(tmp_path):
    path = tmp_path / "householder.png"
    arguments = [
        *(f"--pictures={tmp_path}", "--num_steps=50"),
        *("--flows", "householder"),
    ]
    flow_pictures.main(arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.png", path.name]
    before = path.stat().st_mtime_ns
    flow_pictures.main(arguments)
    assert path.stat().st_mtime_ns == before
