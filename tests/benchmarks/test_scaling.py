"""The benchmark of strategies and replicas, at tiny sizes."""

import json

import pytest

from benchmarks import scaling as benchmark
from trainers.report import benchmarks as report_benchmarks


def test_ratios_are_of_one_process_and_to_the_fastest():
    settings = benchmark.Settings(window_steps=10)
    alone = {
        "num_replicas": {"graph": 1, "xla": 1, "mirrored": 1},
        "seconds": {
            "100": {
                "graph": [0.002, 0.004, 0.006],
                "xla": [0.001, 0.002, 0.003],
                "mirrored": [0.003, 0.004, 0.009],
            }
        },
    }
    cases = benchmark._cases(alone, settings)
    fastest = benchmark._fastest(cases)
    assert fastest == {100: pytest.approx(2.0)}
    found = benchmark._results(
        cases, fastest, settings, {"versions": {}, "devices": ["CPU:0"]}
    )
    by_way = {case["way"]: case for case in found["cases"]}
    assert by_way["mirrored"]["ratio_to_graph"]["median"] == pytest.approx(1.5)
    assert by_way["mirrored"]["ratio_to_fastest"] == pytest.approx(2.0)
    assert by_way["xla"]["ratio_to_fastest"] == pytest.approx(1.0)


@pytest.mark.slow
def test_results_and_table(tmp_path, capsys):
    out = tmp_path / "results" / "results.json"
    assert benchmark.main(["--quick", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    assert [(c["way"], c["num_replicas"]) for c in results["cases"]] == [
        ("graph", 1),
        ("xla", 1),
        ("one_device", 1),
        ("mirrored", 1),
        ("mirrored", 2),
        ("multi_worker", 2),
    ]
    for case in results["cases"]:
        assert case["batch_size"] == 4
        assert case["microseconds_per_example"]["median"] > 0
    table = report_benchmarks.scaling([results])
    printed = capsys.readouterr()
    assert table in printed.out
    assert "2 workers" in printed.err


def test_bad_flags_are_refused(tmp_path, capsys):
    out = str(tmp_path / "results.json")
    for arguments, message in (
        (["--workers", "0"], "`workers` must be positive integers"),
        (
            ["--batch_sizes", "5", "--out", out],
            r"multiples of all `replicas` and `workers`, [1, 2]; got 5.",
        ),
    ):
        with pytest.raises(SystemExit):
            benchmark.main(arguments)
        assert message in capsys.readouterr().err
