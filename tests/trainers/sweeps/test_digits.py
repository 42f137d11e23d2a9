"""Tests of the sweep over flows and seeds on the digits."""

import json
import pathlib

import numpy as np
import pytest

from configs import digits
from tests.trainers import image_runs
from trainers import run
from trainers.report import __main__ as report
from trainers.report import hamiltonian as report_hamiltonian
from trainers.report import images as report_images
from trainers.runs import errors
from trainers.sweeps import digits as sweep_digits


def places(tmp_path):
    return [
        *("--workdir", str(tmp_path / "runs")),
        *("--results", str(tmp_path / "results")),
    ]


def test_cells_are_pairs_seed_by_seed():
    todo = list(sweep_digits.cells(("none", "planar"), (0, 1)))
    assert [cell.path for cell in todo] == [
        "none_K0_seed0",
        "planar_K16_seed0",
        "none_K0_seed1",
        "planar_K16_seed1",
    ]
    (cell,) = sweep_digits.cells(("hamiltonian",), (2,))
    assert cell.path == "hamiltonian_K4_seed2"


def test_cell_config_is_that_of_the_command_line():
    config = sweep_digits.Cell("planar", 3).config()
    expected = digits.get_config("flow=planar")
    expected.training.seed = 3
    expected.training.annealing = "none"
    assert config == expected
    assert config.evaluation.num_elbo_samples >= 64
    config = sweep_digits.Cell("hamiltonian", 3).config()
    expected = digits.get_config("posterior=hamiltonian,flow=none,bridges=4")
    expected.training.seed = 3
    expected.training.annealing = "none"
    assert config == expected


def test_models_differ_in_nothing_but_the_posterior():
    configs = [
        sweep_digits.Cell(flow, 0).config().to_dict()
        for flow in ("none", "planar", "hamiltonian")
    ]
    for config in configs:
        del config["posterior"]
    assert configs[0] == configs[1] == configs[2]
    # Bridges need second derivatives of the decoder.
    assert configs[0]["model"]["activation"] == "gelu"


def test_finished_run_is_kept_without_pictures(tmp_path, monkeypatch):
    def train_and_evaluate(config, workdir, **_):
        path = pathlib.Path(workdir)
        path.mkdir(parents=True)
        found = {"num_importance_samples": 5, "seed": config.training.seed}
        (path / "results.json").write_text(json.dumps(found))
        np.savez(path / "per_image.npz", elbo=np.ones(3), iwae_5=np.ones(3))
        return found

    monkeypatch.setattr(run, "train_and_evaluate", train_and_evaluate)
    sweep_digits.main([*places(tmp_path), "--seeds", "4", "--flows", "none"])
    kept = tmp_path / "results" / "none_K0_seed4"
    assert {p.name for p in kept.iterdir()} == {"results.json", "per_image.npz"}
    assert json.loads((kept / "results.json").read_text())["seed"] == 4


@pytest.mark.slow
def test_small_sweep_ends_with_a_table(tmp_path, monkeypatch):
    def tiny(cell, variant=None):
        kinds = {
            "none": "flow=none",
            "planar": "flow=planar,K=2",
            "hamiltonian": "flow=none,posterior=hamiltonian,bridges=2",
        }
        return image_runs.make_config(
            kinds[cell.flow],
            seed=cell.seed,
            num_steps=10,
            validation_steps=0,
            annealing="none",
        )

    monkeypatch.setattr(sweep_digits.Cell, "config", tiny)
    sweep_digits.main([*places(tmp_path), "--seeds", "4"])
    results = tmp_path / "results"
    files = {p.relative_to(results).as_posix() for p in results.rglob("*.*")}
    assert files == {
        f"{run_}/{name}"
        for run_ in ("none_K0_seed4", "planar_K2_seed4", "hamiltonian_K2_seed4")
        for name in ("results.json", "per_image.npz")
    }
    found = report.read_results(results)
    table = report_images.digits(found)
    assert "Hamiltonian" not in table
    bridges = report_hamiltonian.hamiltonian(found)
    assert "| 2 Hamiltonian bridges - planar, K = 2 | 4 |" in bridges
    bounds = [
        np.load(results / path / "per_image.npz")["elbo"].astype("float64")
        for path in ("planar_K2_seed4", "none_K0_seed4")
    ]
    difference = bounds[0] - bounds[1]
    error = difference.std(ddof=1) / 300**0.5
    shown = f"| {difference.mean():+.3f} ± {error:.3f} |"
    assert shown in table
    found = json.loads((results / "none_K0_seed4" / "results.json").read_text())
    assert found["elbo"] == pytest.approx(bounds[1].mean(), abs=1e-4)


@pytest.mark.parametrize("arguments", [["--flows", "nice"], ["--seeds", "x"]])
def test_unknown_words_are_refused(tmp_path, arguments, capsys):
    with pytest.raises(SystemExit):
        sweep_digits.main([*places(tmp_path), *arguments])
    assert arguments[-1] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_bad_seed_costs_one_line(tmp_path):
    with pytest.raises(SystemExit, match="error: `training.seed` must"):
        sweep_digits.main([*places(tmp_path), "--seeds", "0", "-1"])
    assert not list(tmp_path.iterdir())


def test_errors_of_a_run_cost_one_line(tmp_path, monkeypatch):
    def break_down(*_, **__):
        raise errors.NonFiniteError("`elbo` must stay finite; got nan")

    monkeypatch.setattr(run, "train_and_evaluate", break_down)
    with pytest.raises(SystemExit, match="error: `elbo` must stay finite"):
        sweep_digits.main(places(tmp_path))
