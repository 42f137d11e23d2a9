"""Tests of the sweep over data, bases, bridges and seeds."""

import pytest

from configs import logistic_regression
from trainers.sweeps import logistic_regression as sweep


def test_cells_have_one_gaussian_for_both_kinds_of_bridges():
    todo = list(sweep.cells(["sonar"], sweep.BRIDGES, ["full"], (0, 4), (0, 1)))
    assert [cell.path for cell in todo[:3]] == [
        "sonar/flow_full_K0_seed0",
        "sonar/hamiltonian_full_K4_seed0",
        "sonar/langevin_full_K4_seed0",
    ]
    assert len(todo) == 6


def test_cell_config_is_that_of_the_command_line():
    config = sweep.Cell("sonar", "langevin", "full", 4, 2).config()
    expected = logistic_regression.get_config(
        "data=sonar,posterior=langevin,base=full,K=4"
    )
    expected.training.seed = 2
    assert config == expected


def test_data_that_are_not_there_cost_one_line(tmp_path):
    places = ["--workdir", str(tmp_path / "a"), "--results", str(tmp_path)]
    with pytest.raises(SystemExit, match="error: `--data_dir` must name"):
        sweep.main([*places, "--data_dir", str(tmp_path)])
    assert not list(tmp_path.iterdir())
