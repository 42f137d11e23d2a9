"""The benchmark of a bridge's cost, at tiny sizes."""

import json

import pytest

from benchmarks import hamiltonian as benchmark
from trainers.report import benchmarks as report_benchmarks


def test_a_bridge_is_what_it_adds_to_the_base():
    seconds = {
        "pass": [0.002, 0.001, 0.009],
        "base": [0.003, 0.004, 0.005],
        "bridges": [0.020, 0.028, 0.030],
    }
    summary = benchmark._summary(seconds, num_bridges=4)
    assert summary["bridge_milliseconds"] == pytest.approx(6.0)
    assert summary["ratio"] == pytest.approx(3.0)


@pytest.mark.slow
def test_results_and_table(tmp_path, capsys):
    out = tmp_path / "results" / "results.json"
    assert benchmark.main(["--quick", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    assert {"benchmark", "commit", "dirty", "date", "machine"} < set(results)
    assert [case["mode"] for case in results["cases"]] == ["graph", "xla"]
    for case in results["cases"]:
        assert set(case["milliseconds"]) == {"pass", "base", "bridges"}
    table = report_benchmarks.hamiltonian([results])
    printed = capsys.readouterr()
    assert table in printed.out
    assert "xla: a bridge costs" in printed.err


def test_bad_flags_are_refused(tmp_path, capsys):
    existing = tmp_path / "results.json"
    existing.write_text("{}")
    for arguments, message in (
        (["--num_bridges", "0"], "`num_bridges` must be a positive integer"),
        (["--out", str(existing)], "`out` must not exist"),
    ):
        with pytest.raises(SystemExit):
            benchmark.main(arguments)
        assert message in capsys.readouterr().err
    assert existing.read_text() == "{}"
