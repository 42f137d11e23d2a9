"""The benchmark of densities, at tiny sizes and with what is installed."""

import json

import pytest

from benchmarks import density as benchmark
from trainers.report import benchmarks as report


@pytest.mark.slow
def test_results_have_the_libraries_and_make_a_table(tmp_path):
    out = tmp_path / "results.json"
    assert benchmark.main(["--quick", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    assert {"benchmark", "commit", "dirty", "date", "machine"} < set(results)
    found = {(case["flow"], case["library"]) for case in results["cases"]}
    assert {("maf", "tfp_flows"), ("nsf", "tfp_flows"), ("maf", "TFP")} <= found
    for case in results["cases"]:
        assert case["update_milliseconds"]["median"] > 0
        assert case["samples_milliseconds"]["median"] > 0
        if case["library"] == "tfp_flows":
            assert case["update_ratio_to_ours"]["median"] == 1.0
    table = report.density([results])
    assert all(library in table for _, library in found)
    assert report.density([]) == report.NOT_MEASURED
