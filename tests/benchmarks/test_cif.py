"""The benchmark of continuously-indexed flows, at tiny sizes."""

import json

import pytest

from benchmarks import cif as benchmark
from trainers.report import benchmarks as report


@pytest.mark.slow
def test_results_have_every_variant_and_make_a_table(tmp_path):
    out = tmp_path / "results.json"
    assert benchmark.main(["--quick", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    assert {"benchmark", "commit", "dirty", "date", "machine"} < set(results)
    cases = {case["variant"]: case for case in results["cases"]}
    assert set(cases) == set(benchmark.VARIANTS)
    assert cases["flow"]["ratio_to_flow"]["median"] == 1.0
    for case in cases.values():
        assert case["step_milliseconds"]["median"] > 0
        assert set(case["first_step_seconds"]) == {"1", "2"}
    table = report.cif([results])
    assert all(f"`{variant}`" in table for variant in cases)
    assert report.cif([]) == report.NOT_MEASURED
