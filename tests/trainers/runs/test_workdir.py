"""Tests of the directory of a run."""

import json

import numpy as np
import pytest

from configs import energy_2d
from trainers.runs import errors, workdir


@pytest.fixture
def config():
    return energy_2d.get_config("target=u2,K=4")


def contents(path):
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


def test_new_directory_gets_config_and_record(tmp_path, config):
    path = tmp_path / "a" / "b"
    workdir.prepare(str(path), config, {"started": "now"})
    expected = json.loads(json.dumps(config.to_dict()))
    assert json.loads((path / "config.json").read_text()) == expected
    assert json.loads((path / "run.json").read_text()) == [{"started": "now"}]


def test_same_config_is_continued_and_its_starts_are_kept(tmp_path, config):
    (tmp_path / "empty").mkdir()
    for start in ("first", "second"):
        workdir.prepare(str(tmp_path / "empty"), config, {"started": start})
    runs = json.loads((tmp_path / "empty" / "run.json").read_text())
    assert [run["started"] for run in runs] == ["first", "second"]


def test_other_config_is_refused_and_nothing_changed(tmp_path, config):
    workdir.prepare(str(tmp_path), config, {})
    before = contents(tmp_path)
    config.optimizer.learning_rate = 1.0
    config.data.target = "u3"
    with pytest.raises(
        errors.InputError,
        match="differs in data.target, optimizer.learning_rate",
    ):
        workdir.prepare(str(tmp_path), config, {})
    assert contents(tmp_path) == before


def test_directory_of_something_else_is_refused(tmp_path, config):
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(errors.InputError, match="files but no config.json"):
        workdir.prepare(str(tmp_path), config, {})
    assert set(contents(tmp_path)) == {"thesis.txt"}


def test_broken_config_file_is_refused(tmp_path, config):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(errors.InputError, match="a readable config.json"):
        workdir.prepare(str(tmp_path), config, {})


def test_a_file_is_no_workdir(tmp_path, config):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.InputError, match="be a directory; got the file"):
        workdir.prepare(str(tmp_path / "file"), config, {})
    with pytest.raises(errors.InputError, match="can be written to"):
        workdir.prepare(str(tmp_path / "file" / "below"), config, {})


def test_write_json_replaces_a_file_as_a_whole(tmp_path):
    path = tmp_path / "value.json"
    workdir.write_json(str(path), {"a": 1})
    with pytest.raises(TypeError):
        workdir.write_json(str(path), {"a": object()})
    assert workdir.read_json(str(path)) == {"a": 1}


class TestMetricsLog:
    def test_appended_lines_are_read_back(self, tmp_path):
        log = workdir.MetricsLog(str(tmp_path))
        assert log.read() == []
        log.append({"step": 1, "free_energy": 0.5})
        log.append({"step": 2, "free_energy": 0.25})
        assert [line["step"] for line in log.read()] == [1, 2]

    def test_rewound_steps_stand_once(self, tmp_path):
        log = workdir.MetricsLog(str(tmp_path))
        for step in (1, 2, 3):
            log.append({"step": step, "try": "first"})
        log.rewind(1)
        for step in (2, 3):
            log.append({"step": step, "try": "second"})
        assert [(line["step"], line["try"]) for line in log.read()] == [
            (1, "first"),
            (2, "second"),
            (3, "second"),
        ]

    def test_last_slope_is_that_of_the_last_tenth(self, tmp_path):
        log = workdir.MetricsLog(str(tmp_path))
        curve = {10: 5.0, 89: 9.0, 91: 0.0, 92: 3.0, 100: 3.0}
        for step, value in curve.items():
            log.append({"step": step, "val_elbo": value})
        log.append({"step": 200, "elbo": 0.0})
        steps = np.array([91, 92, 100]) - 283 / 3
        expected = steps @ [0.0, 3.0, 3.0] / (steps @ steps)
        assert log.last_slope("val_elbo") == pytest.approx(expected)

    def test_one_point_has_no_slope(self, tmp_path):
        log = workdir.MetricsLog(str(tmp_path))
        assert log.last_slope("val_elbo") is None
        for step in (50, 100):
            log.append({"step": step, "val_elbo": 0.5})
        assert log.last_slope("val_elbo") is None

    def test_line_cut_short_by_a_crash_is_dropped(self, tmp_path):
        log = workdir.MetricsLog(str(tmp_path))
        log.append({"step": 1})
        with open(tmp_path / "metrics.jsonl", "a") as file:
            file.write('{"step": 2, "free_en')
        assert log.read() == [{"step": 1}]
        log.rewind(1)
        log.append({"step": 2})
        assert [line["step"] for line in log.read()] == [1, 2]
