"""The benchmark of log p(x): it compares equal things and writes them down."""

import json

import pytest

from benchmarks import _marginal_likelihood_child as child
from benchmarks import marginal_likelihood
from trainers.report import benchmarks as report_benchmarks

SIZES = marginal_likelihood.QUICK.sizes


@pytest.mark.slow
def test_both_ways_estimate_the_same():
    values = child.rates(
        2, SIZES, num_samples=20, samples_per_chunk=10, num_repeats=2
    )
    assert values["largest_difference"] < 1e-4
    assert {len(s) for s in values["seconds"].values()} == {2}


def _fake_child(module, task, **kwargs):
    values = {
        "rates": {
            "seconds": {"ours": [0.5, 1.0, 2.0], "usual": [4.0, 4.0, 4.0]},
            "largest_difference": 1e-6,
            "versions": {"tensorflow": "2.0"},
        },
        "memory": {"peak_memory_mib": 100.0 + task["num_samples"] / 100},
    }[task["task"]]
    return marginal_likelihood._measure.ChildResult("finished", 1.0, values)


def test_result_and_table(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(marginal_likelihood._measure, "run_child", _fake_child)
    out = tmp_path / "results.json"
    assert marginal_likelihood.main(["--quick", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    count = SIZES["batch"] * marginal_likelihood.QUICK.num_samples
    for case in results["cases"]:
        assert case["ratio"] == pytest.approx(4.0)
        assert case["rates"]["ours"]["median"] == pytest.approx(count)
    assert results["peak_memory_mib"]["ratio"] == pytest.approx(102 / 100.2)
    # The printed table is that of the file, whose keys are strings.
    table = report_benchmarks.marginal_likelihood([results])
    assert table in capsys.readouterr().out
    assert "| 4.00 |" in table
    assert "1.018 times" in table


def test_a_failed_child_is_an_error(monkeypatch):
    failed = marginal_likelihood._measure.ChildResult("failed", 1, {}, "why")
    monkeypatch.setattr(
        marginal_likelihood._measure, "run_child", lambda *a, **k: failed
    )
    with pytest.raises(RuntimeError, match="rates, K=0, failed: why"):
        marginal_likelihood.run(marginal_likelihood.QUICK)


def test_nothing_is_overwritten(tmp_path, capsys):
    out = tmp_path / "results.json"
    out.write_text("{}")
    with pytest.raises(SystemExit):
        marginal_likelihood.main(["--out", str(out)])
    assert "`out` must not exist" in capsys.readouterr().err
    assert out.read_text() == "{}"
