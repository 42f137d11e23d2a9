"""Tests of what the sweeps share."""

import dataclasses
import json

import pytest

from trainers import run
from trainers.sweeps import run_missing as sweeps


@dataclasses.dataclass(frozen=True)
class Cell:
    path: str

    def config(self, variant=None):
        return f"config of {self.path}, {variant}"


@pytest.fixture
def ran(monkeypatch):
    """Calls of `train_and_evaluate`, which trains nothing."""
    calls = []

    def train_and_evaluate(config, workdir, **_):
        calls.append((config, workdir))
        return {"kl": 0.5}

    monkeypatch.setattr(run, "train_and_evaluate", train_and_evaluate)
    return calls


def test_existing_results_are_kept(tmp_path, ran):
    todo = [Cell("u1/first"), Cell("u1/second")]
    kept = tmp_path / "results" / "u1" / "first" / "results.json"
    kept.parent.mkdir(parents=True)
    kept.write_text('"mine"')
    places = {
        "workdir": str(tmp_path / "runs"),
        "results": str(tmp_path / "results"),
    }
    for _ in range(2):
        sweeps.run_missing(todo, **places, variant="small")
    workdir = str(tmp_path / "runs" / "u1" / "second")
    assert ran == [("config of u1/second, small", workdir)]
    assert kept.read_text() == '"mine"'
    path = tmp_path / "results" / "u1" / "second" / "results.json"
    assert json.loads(path.read_text()) == {"kl": 0.5}


def test_keep_is_told_where_and_what(tmp_path, ran):
    kept = []
    sweeps.run_missing(
        [Cell("a")],
        workdir=str(tmp_path / "runs"),
        results=str(tmp_path / "results"),
        keep=lambda *arguments: kept.append(arguments),
    )
    assert kept == [
        (
            str(tmp_path / "runs" / "a"),
            str(tmp_path / "results" / "a"),
            {"kl": 0.5},
        )
    ]
    assert len(ran) == 1
