"""Tests of the sweep over lattices, widths, models and seeds."""

import json

import numpy as np
import pytest

from configs import mog_2d
from trainers.sweeps import mog as sweep_mog
from trainers.sweeps import run_missing


def test_cells_cover_the_product_seed_by_seed():
    todo = list(
        sweep_mog.cells(
            mog_2d.MODES, mog_2d.SCALES, sweep_mog.MODELS, (0, 1, 2)
        )
    )
    assert len(set(todo)) == len(todo) == 2 * 3 * 3 * 3
    assert [cell.seed for cell in todo] == [0] * 18 + [1] * 18 + [2] * 18
    assert todo[0].path == "mog9/flow32_sigma0.1_seed0"
    assert len({cell.path for cell in todo}) == len(todo)


def test_cell_config_is_that_of_the_command_line():
    config = sweep_mog.Cell("16", "10", "cif", 32, 2).config()
    expected = mog_2d.get_config("modes=16,sigma0=10,posterior=cif,hidden=32")
    expected.training.seed = 2
    assert config == expected


def test_parts_are_disjoint_and_all_there_is():
    todo = list(range(7))
    parts = [run_missing.part_of(todo, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(sum(parts, [])) == todo
    assert run_missing.part_of(todo, None) == todo


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b"])
def test_no_part_is_refused(part):
    with pytest.raises(ValueError, match="`part` must be i/n"):
        run_missing.part_of([], part)


@pytest.fixture
def finished(tmp_path):
    """Runs of all models of one width and three seeds."""
    todo = list(sweep_mog.cells(["9"], ["1"], sweep_mog.MODELS, (0, 1, 2)))
    for cell in todo:
        path = tmp_path / cell.path
        path.mkdir(parents=True)
        name = "kl_upper" if cell.posterior == "cif" else "kl"
        found = {name: (0.3, 0.1, 0.2)[cell.seed], "auxiliary_kl": 0.5}
        found["num_modes_found"] = 9
        (path / "results.json").write_text(json.dumps(found))
        counts = np.full([4, 4], cell.seed, np.uint32)
        np.savez_compressed(
            path / "histogram.npz",
            counts=counts,
            half_width=4.0,
            num_samples=100,
        )
    return tmp_path, todo


def test_picture_shows_the_run_in_the_middle(finished):
    results, todo = finished
    group = [c for c in todo if c.posterior == "cif"]
    title, density = sweep_mog._median_run(str(results), group)
    assert title == "CIF: KL < 0.200, 9 modes"
    # Seed 2; 2 samples of 100 in each pixel of area 4.
    np.testing.assert_allclose(density, 2 / (100 * 4.0))
    path = results / "mixtures.png"
    sweep_mog.draw_mixtures(str(path), todo, results=str(results))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_picture_waits_for_all_runs(finished):
    results, todo = finished
    (results / todo[-1].path / "results.json").unlink()
    path = results / "mixtures.png"
    sweep_mog.draw_mixtures(str(path), todo, results=str(results))
    assert not path.exists()


@pytest.mark.slow
def test_small_sweep_ends_with_results_and_histograms(
    tmp_path, tiny_config, monkeypatch
):
    def tiny(cell, variant=None):
        config = mog_2d.get_config("posterior=flow")
        given = tiny_config(num_steps=10, jit_compile=False)
        config.training.update(given.training)
        config.evaluation.update(given.evaluation)
        config.posterior.conditioner_hidden_units = (8,)
        return config

    monkeypatch.setattr(sweep_mog.Cell, "config", tiny)
    sweep_mog.main(
        [
            *("--workdir", str(tmp_path / "runs")),
            *("--results", str(tmp_path / "results")),
            *("--modes", "9", "--scales", "1", "--models", "flow32", "flow34"),
            *("--seeds", "0", "--part", "2/2"),
        ]
    )
    kept = tmp_path / "results" / "mog9" / "flow34_sigma1_seed0"
    assert {p.name for p in kept.iterdir()} == {
        "results.json",
        "histogram.npz",
    }
