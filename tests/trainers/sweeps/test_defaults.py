"""Tests of the sweep over what the library's defaults may be."""

import gc
import json
import pathlib

import numpy as np
import pytest

from trainers import run
from trainers.images import build
from trainers.sweeps import defaults


def test_cells_differ_in_place_and_can_be_built():
    todo = list(defaults.cells())
    assert len({cell.path for cell in todo}) == len(todo)
    for cell in todo:
        build.check_config(cell.config())
    assert {cell.flow for cell in todo} == {"none", *defaults.STEPS}


@pytest.mark.parametrize("dataset", defaults.DATASETS)
def test_the_librarys_defaults_are_left_to_it(dataset):
    config = defaults.Cell(dataset, "iaf", is_library=True).config()
    assert config.posterior.context_scale is None
    assert config.training.annealing == "auto"
    assert config.training.gradient_estimator == "auto"
    other = defaults.Cell(dataset, "iaf").config()
    for name in ("num_steps", "validation_steps", "seed"):
        assert config.training[name] == other.training[name]
    assert config.evaluation == other.evaluation


@pytest.mark.parametrize("dataset", defaults.DATASETS)
def test_annealing_takes_its_share_of_the_updates(dataset):
    cell = defaults.Cell(dataset, "iaf", share=0.25)
    training = cell.config().training
    assert training.annealing == "kl"
    assert 4 * training.annealing_steps == training.num_steps
    unannealed = defaults.Cell(dataset, "iaf").config().training
    assert unannealed.annealing == "none"


def test_runs_get_the_data_and_are_kept(tmp_path, monkeypatch):
    given = []

    def train_and_evaluate(config, workdir, data_dir, **_):
        given.append((config.data.dataset, data_dir))
        path = pathlib.Path(workdir)
        path.mkdir(parents=True)
        found = {"num_importance_samples": 5}
        (path / "results.json").write_text(json.dumps(found))
        np.savez(path / "per_image.npz", elbo=np.ones(3), iwae_5=np.ones(3))
        return found

    monkeypatch.setattr(run, "train_and_evaluate", train_and_evaluate)
    # After each run; in a process with many tests it takes a second.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    results = tmp_path / "results"
    defaults.main(
        [
            *("--workdir", str(tmp_path / "runs")),
            *("--results", str(results), "--datasets", "mnist"),
            *("--data_dir", "somewhere"),
        ]
    )
    assert set(given) == {("mnist", "somewhere")}
    assert len(list(results.rglob("per_image.npz"))) == len(given)
