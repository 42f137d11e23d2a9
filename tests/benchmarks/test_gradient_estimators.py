"""The gradient_estimators benchmark, at tiny sizes."""

import json

import numpy as np
import pytest

from benchmarks import gradient_estimators as benchmark


def test_variances_are_sums_over_a_part():
    draws = np.random.default_rng(0).normal(size=[20, 3]).astype("float32")

    def function(draw):
        return {
            "encoder": draws[int(draw)],
            "posterior": 2.0 * draws[int(draw)],
        }

    result = benchmark.variances({"plain": function}, len(draws))

    expected = draws.astype("float64").var(axis=0, ddof=1).sum()
    assert result["plain"]["encoder"] == pytest.approx(expected, rel=1e-6)
    assert result["plain"]["posterior"] == pytest.approx(4 * expected, rel=1e-6)


@pytest.mark.slow
def test_results_have_every_case(tmp_path, capsys):
    out = tmp_path / "results" / "results.json"

    assert benchmark.main(["--quick", "--out", str(out)]) == 0

    results = json.loads(out.read_text())
    assert {"benchmark", "commit", "dirty", "date", "machine"} < set(results)
    assert results["settings"]["seed"] == 0
    assert len(results["cases"]) == 2 * 2
    for case in results["cases"]:
        estimators = case["estimators"]
        single = case["num_importance_samples"] == 1
        assert ("sticking_the_landing" in estimators) == single
        for name, parts in estimators.items():
            assert set(parts) == set(benchmark.PARTS)
            for summary in parts.values():
                assert 0.0 < summary["variance"] < np.inf
                if name == "reparameterized":
                    assert summary["ratio"] == 1.0
        if single:  # they are one and the same
            for part in benchmark.PARTS:
                assert estimators["sticking_the_landing"][part][
                    "ratio"
                ] == pytest.approx(
                    estimators["doubly_reparameterized"][part]["ratio"],
                    rel=1e-4,
                )
    printed = capsys.readouterr()
    assert printed.out.count("biased") == 2 * 2
    assert "K=2 S=3 after 5 updates" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num_draws", "1"], "`num_draws` must be an integer >= 2"),
        (["--num_draws", "x"], "`num_draws` must be a positive integer"),
        (["--out", "{existing}"], "`out` must not exist"),
    ],
)
def test_bad_flags_are_refused(arguments, message, tmp_path, capsys):
    existing = tmp_path / "results.json"
    existing.write_text("{}")
    arguments = [a.format(existing=existing) for a in arguments]

    with pytest.raises(SystemExit) as exit_info:
        benchmark.main(arguments)

    assert exit_info.value.code != 0
    assert message in capsys.readouterr().err
    assert existing.read_text() == "{}"
