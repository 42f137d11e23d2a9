"""Tests of the sweep over targets, flows, lengths and seeds."""

import json

import pytest
import tensorflow as tf

from configs import energy_2d
from trainers import run
from trainers.runs import errors
from trainers.sweeps import energies as sweep_energies


def test_cells_cover_the_product_seed_by_seed():
    todo = list(
        sweep_energies.cells(
            energy_2d.TARGETS, energy_2d.FLOWS, (2, 8, 32), (0, 1, 2)
        )
    )
    assert len(set(todo)) == len(todo) == 4 * 4 * 3 * 3
    assert [cell.seed for cell in todo] == [0] * 48 + [1] * 48 + [2] * 48
    assert todo[0].path == "u1/planar_K2_seed0"


def test_cell_config_is_that_of_the_command_line():
    config = sweep_energies.Cell("u3", "radial", 8, 2).config()
    expected = energy_2d.get_config("target=u3,flow=radial,K=8")
    expected.training.seed = 2
    assert config == expected
    runlocal = sweep_energies.Cell("u3", "radial", 8, 2).config("runlocal")
    assert runlocal.training.num_steps < expected.training.num_steps


def test_median_run_is_the_middle_one(tmp_path):
    group = list(sweep_energies.cells(["u1"], ["planar"], [2], [0, 1, 2]))
    for cell, kl in zip(group, (0.3, 0.1, 0.2), strict=True):
        path = tmp_path / cell.path
        path.mkdir(parents=True)
        (path / "results.json").write_text(json.dumps({"kl": kl}))
    found = sweep_energies._median_run(str(tmp_path), group)
    assert found == (group[2], 0.2)


@pytest.mark.slow
def test_small_sweep_ends_with_results_and_figure(
    tmp_path, tiny_config, monkeypatch
):
    def tiny(cell, variant=None):
        arg = f"target={cell.target},flow={cell.flow},K={cell.num_flow_steps}"
        return tiny_config(arg, num_steps=10, jit_compile=False)

    monkeypatch.setattr(sweep_energies.Cell, "config", tiny)
    sweep_energies.main(
        [
            *("--workdir", str(tmp_path / "runs")),
            *("--results", str(tmp_path / "results")),
            *("--targets", "u4", "--flows", "planar", "nice_perm"),
            *("--lengths", "2", "--seeds", "0"),
        ]
    )
    results = tmp_path / "results"
    files = {str(p.relative_to(results)) for p in results.rglob("*.*")}
    assert files == {
        "energies.png",
        "energies_nice_perm.png",
        "u4/planar_K2_seed0/results.json",
        "u4/nice_perm_K2_seed0/results.json",
    }
    # Without its workdir, or with one of before the run loop, a run is no
    # longer drawn, nor its picture redrawn.
    picture = (results / "energies.png").read_bytes()
    cell = sweep_energies.Cell("u4", "planar", 2, 0)
    tf.train.CheckpointManager(
        tf.train.Checkpoint(step=tf.Variable(10), weights=[tf.Variable(0.0)]),
        str(tmp_path / "old" / cell.path / "checkpoints"),
        max_to_keep=2,
    ).save(10)
    for workdir in ("gone", "old"):
        sweep_energies.draw_energies(
            str(results / "energies.png"),
            [cell],
            workdir=str(tmp_path / workdir),
            results=str(results),
        )
        assert (results / "energies.png").read_bytes() == picture


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--targets", "u9"], "`target` must be one of"),
        (["--lengths", "0"], "`K` must be a positive integer; got '0'"),
    ],
)
def test_bad_input_costs_one_line(tmp_path, arguments, message):
    places = ["--workdir", str(tmp_path / "a"), "--results", str(tmp_path)]
    with pytest.raises(SystemExit, match=f"error: {message}"):
        sweep_energies.main([*places, *arguments])
    assert not list(tmp_path.iterdir())


def test_errors_of_a_run_cost_one_line(tmp_path, monkeypatch):
    def break_down(*_, **__):
        raise errors.NonFiniteError("`free_energy` must stay finite; got nan")

    monkeypatch.setattr(run, "train_and_evaluate", break_down)
    places = ["--workdir", str(tmp_path / "a"), "--results", str(tmp_path)]
    with pytest.raises(SystemExit, match="error: `free_energy` must stay"):
        sweep_energies.main(places)
