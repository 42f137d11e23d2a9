"""The papers' tables: planned, run, resumed and written."""

import json
import pathlib

import numpy as np
import pytest

from trainers import run
from trainers.energies import check as check_energies
from trainers.images import build
from trainers.reproduce import __main__ as reproduce
from trainers.reproduce import plan, tables, write
from trainers.reproduce.table import BUDGETS
from trainers.runs import errors

TABLES = tables.TABLES


def jobs(name, directory, budget="paper", seeds=(0,)):
    return plan.jobs_of(
        name,
        TABLES[name],
        budget=budget,
        seeds=seeds,
        directory=str(directory),
    )


def flags(directory, *more, table="energies", budget="smoke"):
    return [
        "--table",
        table,
        f"--budget={budget}",
        f"--workdir={directory}",
        *more,
    ]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_every_row_can_be_trained(name, budget, tmp_path):
    steps = set()
    paths = set()
    for job in jobs(name, tmp_path, budget):
        config = job.config()
        steps.add(config.training.num_steps)
        paths.add(job.workdir)
        if config.model.name == "dlgm":
            build.check_config(config)
        elif config.model.name == "energy":
            check_energies.check_config(config, 2)
    assert len(paths) == (2 if budget == "smoke" else len(TABLES[name].rows))
    if budget == "smoke":
        assert steps == {20}
    elif budget == "hours":
        assert max(steps) <= TABLES[name].hours
    else:
        assert min(steps) >= TABLES[name].hours


@pytest.mark.parametrize("name", TABLES)
def test_published_values_stand_under_a_measure(name):
    names = {measure.name for measure in TABLES[name].measures}
    for row in TABLES[name].rows:
        for values in row.published.values():
            assert set(values) <= names


def fake_results(job, value, seconds=0.5):
    path = pathlib.Path(job.workdir)
    path.mkdir(parents=True)
    path.joinpath("results.json").write_text(
        json.dumps(
            {
                "bound": "elbo",
                "elbo": -value - 5.0,
                "elbo_standard_error": 0.3,
                "num_importance_samples": 200,
                "iwae_200": -value,
                "iwae_200_standard_error": 0.2,
                "num_steps": job.config().training.num_steps,
            }
        )
    )
    # Of the last image log p(x) was not estimated.
    elbo = np.array([-value - 5.5, -value - 4.5, -1e3])
    np.savez(path / "per_image.npz", elbo=elbo, iwae_200=np.full(2, -value))
    write_log(job, 1000, seconds)


def write_log(job, step, seconds):
    path = pathlib.Path(job.workdir)
    path.mkdir(parents=True, exist_ok=True)
    lines = [
        {"step": n, "seconds_per_step": seconds} for n in (step // 2, step)
    ]
    path.joinpath("metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines)
    )


def test_the_plan_says_what_is_left(tmp_path):
    planned = jobs("mnist_paper", tmp_path)
    *_, total = plan.lines(planned)
    assert "8 runs, about 0.0 hours" in total
    assert "8 runs of unknown length: --budget=smoke" in total
    fake_results(planned[0], 90.0)
    write_log(planned[1], 140_000, 0.01)  # interrupted
    slow = jobs("mnist_paper", tmp_path, "smoke")[-1]
    write_log(slow, 20, 0.036)  # of NICE, K = 80: 5 h
    found = plan.lines(planned)
    assert found[0].endswith("Gaussian, seed 0: done")
    assert found[1].endswith("step 140,000 of 500,000 steps, about 1.00 h")
    # As slow as the slowest, which here is the finished one.
    assert "500,000 steps, at most about 69.44 h" in found[2]
    assert found[7].endswith(
        "NICE, K = 80, seed 0: 500,000 steps, about 5.00 h"
    )
    assert "unknown" not in found[-1]


def test_measured_values_stand_beside_published_ones(tmp_path):
    planned = jobs("mnist_paper", tmp_path, seeds=(0, 1))
    table = TABLES["mnist_paper"]
    fake_results(planned[0], 90.0)
    shown = write.write(str(tmp_path / "one"), table, planned)
    row = "| Gaussian | 95.00 ± 0.30 | 90.00 ± 0.20 | 5.00 ± 0.50 |"
    assert row in shown
    assert "| planar, K = 10 | - | - | - | 93.56 / 87.5 / 6.03 |" in shown
    assert "after 500,000 updates" in shown
    of_seed_1 = planned[len(table.rows)]
    assert of_seed_1.row is planned[0].row
    fake_results(of_seed_1, 92.0)
    shown = write.write(str(tmp_path / "two"), table, planned)
    row = "| Gaussian | 96.00 ± 1.00 | 91.00 ± 1.00 | 5.00 ± 0.00 |"
    assert row in shown
    found = json.loads((tmp_path / "two" / "table.json").read_text())
    gaussian = found["rows"][0]
    assert gaussian["num_seeds"] == 2
    assert gaussian["measured"]["F"] == {"value": 96.0, "standard_error": 1.0}
    assert gaussian["published"]["independent re-run"]["F"] == 96.99
    assert (tmp_path / "two" / "table.png").stat().st_size > 5_000


def test_finished_runs_are_left_alone_and_others_go_on(tmp_path, monkeypatch):
    asked = []

    def train(config, workdir, *, data_dir):
        asked.append((workdir, config.training.num_steps, data_dir))
        if len(asked) == 2:
            raise KeyboardInterrupt  # and the table of the first is there
        path = pathlib.Path(workdir)
        path.mkdir(parents=True)
        found = {"kl": 1.5, "free_energy": 2.0, "standard_error": 0.1}
        path.joinpath("results.json").write_text(
            json.dumps({**found, "num_steps": 20})
        )

    monkeypatch.setattr(run, "train_and_evaluate", train)
    with pytest.raises(KeyboardInterrupt):
        reproduce.main(flags(tmp_path, "--data_dir=data"))
    table = tmp_path / "energies" / "smoke" / "table.md"
    assert "| U1, planar, K = 2 | 1.50 ± 0.10 | 2.00 ± 0.10 |" in (
        table.read_text()
    )
    assert "| U4, nice perm, K = 32 | - | - |" in table.read_text()
    reproduce.main(flags(tmp_path, "--data_dir=data"))
    first, last, again = asked
    assert first != last == again
    assert {(n, where) for _, n, where in asked} == {(20, "data")}
    assert "| U4, nice perm, K = 32 | 1.50" in table.read_text()
    reproduce.main(flags(tmp_path))
    assert len(asked) == 3


def test_the_plan_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(run, "train_and_evaluate", None)
    reproduce.main(flags(tmp_path / "new", "--plan", budget="hours"))
    assert "energies: U1, planar, K = 2, seed 0: 5,000 steps" in caplog.text
    assert "48 runs" in caplog.text
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("given", [None, "nowhere", "empty"])
def test_images_in_a_file_must_be_given(tmp_path, capsys, given):
    (tmp_path / "empty").mkdir()
    more = [f"--data_path={tmp_path / given}"] if given else []
    with pytest.raises(SystemExit) as left:
        reproduce.main(flags(tmp_path, *more, table="omniglot"))
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert "`--data_path` must name omniglot_28x28_area.npz" in error


def test_the_files_name_goes_into_the_config(tmp_path):
    table = TABLES["omniglot"]
    path = tmp_path / table.needs
    path.write_bytes(b"")
    for given in (tmp_path, path):
        found = reproduce._data_path("omniglot", table, str(given))
        assert found == str(path)
    (job, _) = plan.jobs_of(
        "omniglot",
        table,
        budget="smoke",
        seeds=[3],
        directory="x",
        data_path=str(path),
    )
    config = job.config()
    assert config.data.path == str(path)
    assert config.training.seed == 3
    assert reproduce._data_path("energies", TABLES["energies"], "") == ""


@pytest.mark.slow
def test_smoke_of_a_table(tmp_path, capsys):
    """The others, on real data, are run by `.ci/run`."""
    reproduce.main(flags(tmp_path, table="energies"))
    printed = capsys.readouterr().out
    assert "## Energies of Rezende & Mohamed (2015)" in printed
    found = json.loads(
        (tmp_path / "energies" / "smoke" / "table.json").read_text()
    )
    values = [row["measured"].get("KL") for row in found["rows"]]
    assert sum(value is not None for value in values) == 2
    # Measured now, so that longer budgets know what a step takes.
    assert "at most about" in "".join(
        plan.lines(jobs("energies", tmp_path, "hours"))
    )
    with pytest.raises(errors.InputError):
        reproduce._data_path("omniglot", TABLES["omniglot"], "")
