"""The benchmark of the trainer: what it compares, writes and refuses."""

import json

import pytest

from benchmarks import _measure, training
from trainers.report import benchmarks as report_benchmarks


def fake_child(module, task, **kwargs):
    assert module == "benchmarks._training_child"
    values = {
        "window_steps": 100,
        "steps_per_execution": 50,
        "batch_size": 100,
        "seconds": {
            "trainer": [2.0, 2.5, 4.0],
            "loop": [2.0, 2.0, 2.0],
            "calls": [5.0, 5.0, 5.0],
        },
        "first_window_seconds": [9.0, 10.0, 11.0],
        "versions": {"tensorflow": "2.0", "task": task},
    }
    return _measure.ChildResult("finished", 1.0, values)


def test_result_and_table(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(_measure, "run_child", fake_child)
    out = tmp_path / "results.json"
    assert training.main(["--quick", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    assert [case["num_flow_steps"] for case in results["cases"]] == [0, 2]
    assert results["versions"]["task"]["variant"] == "flow=planar,K=2,runlocal"
    for case in results["cases"]:
        assert case["steps_per_second"]["trainer"]["median"] == 40.0
        assert case["ratios"] == pytest.approx({"loop": 0.8, "calls": 2.0})
    table = report_benchmarks.training([results])
    assert table in capsys.readouterr().out
    row = "| 2 | 40 (32 to 45) | 50 (50 to 50) | 20 (20 to 20) | 0.80 | 2.00 |"
    assert row in table
    assert "10 s (K = 0)" in table


def test_without_data_one_line_names_the_flag(tmp_path, capsys):
    out = tmp_path / "results.json"
    with pytest.raises(SystemExit) as exit_info:
        training.main(["--data_dir", str(tmp_path), "--out", str(out)])
    assert exit_info.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "`--data_dir` must name a folder" in error
    assert not out.exists()


def test_a_failed_child_is_an_error(monkeypatch):
    failed = _measure.ChildResult("failed", 1.0, {}, "why")
    monkeypatch.setattr(_measure, "run_child", lambda *a, **k: failed)
    with pytest.raises(RuntimeError, match="K=0 failed: why"):
        training.run(training.QUICK)


@pytest.mark.slow
def test_all_ways_are_measured_on_one_model():
    from benchmarks import _training_child as child

    values = child.measure("digits", "flow=none,runlocal", 1, None)
    assert values["window_steps"] == 100
    assert values["seconds"].keys() == set(training.WAYS)
    for (seconds,) in values["seconds"].values():
        assert 0.0 < seconds < 60.0
    # The trainer compiles before it is timed.
    (first,) = values["first_window_seconds"]
    assert first > values["seconds"]["trainer"][0]


@pytest.mark.slow
def test_bare_step_is_the_trainers():
    """From the same weights, both take the same first step."""
    import numpy as np
    import tensorflow as tf

    from benchmarks import _training_child as child
    from configs import digits
    from trainers.images import data
    from trainers.images import train as train_images
    from trainers.runs import train_steps

    config = digits.get_config("flow=planar,K=2,runlocal")
    bare = child.BareStep(config, None)
    bare._step(bare._batch)
    splits = data.load_splits(config)
    run = train_images.ImageRun(config, splits, tf.distribute.get_strategy())
    batches = iter(data.training_dataset(splits, config))
    train_steps.TrainSteps(run.model)(batches, 1)
    for ours, trainers in zip(
        bare._model.weights, run.model.weights, strict=True
    ):
        np.testing.assert_array_equal(ours.numpy(), trainers.numpy())
