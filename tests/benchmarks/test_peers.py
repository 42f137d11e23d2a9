"""The benchmark of peers, at tiny sizes and with what is installed."""

import json

import numpy as np
import pytest

from benchmarks import _peers
from benchmarks import peers as benchmark
from benchmarks._peers import ours, ours_unrolled
from trainers.report import libraries as report

LIBRARIES = ("tfp_flows", "tfp_flows, unrolled", "TFP")


@pytest.mark.slow
def test_a_flow_is_measured_in_turns(tmp_path):
    out, flow = tmp_path / "results.json", "nsf_coupling"
    arguments = ["--quick", "--flows", flow, "--out", str(out)]
    assert benchmark.main(arguments) == 0
    results = json.loads(out.read_text())
    found = {case["library"] for case in results["cases"]}
    assert {name for name in LIBRARIES if flow in _peers._HAS[name]} <= found
    for case in results["cases"]:
        assert set(case["milliseconds"]) == set(case["first_seconds"])
        assert "step" in case["milliseconds"]
    assert "| tfp_flows, unrolled |" in report.peers([results])


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["planar", "nsf_coupling"])
def test_steps_of_the_rolled_and_the_unrolled_flow_are_equal(flow):
    x = np.random.default_rng(0).normal(size=[8, 4]).astype(np.float32)
    rolled, unrolled = (
        module.make(flow, x, benchmark.QUICK)
        for module in (ours, ours_unrolled)
    )
    assert set(rolled) == set(unrolled)
    if "density" in rolled:
        np.testing.assert_allclose(
            unrolled["density"](), rolled["density"](), rtol=1e-4
        )
    assert np.isfinite([calls["step"]() for calls in (rolled, unrolled)]).all()


def _case(library, **milliseconds):
    return {
        "flow": "maf",
        "size": 16,
        "library": library,
        "first_seconds": dict.fromkeys(milliseconds, 2.0),
        "milliseconds": {
            name: {"q1": value, "median": value, "q3": value}
            for name, value in milliseconds.items()
        },
    }


def test_table_has_losses_and_what_is_missing():
    run = {
        "benchmark": "peers",
        "date": "2030-01-02",
        "commit": "0123456789abcdef",
        "dirty": False,
        "machine": {"cpu": "Some CPU", "cores": 2},
        "versions": {"tensorflow": "2.21.0", "zuko": "1.6.0"},
        "settings": benchmark.Settings()._asdict(),
        "cases": [
            _case("tfp_flows", step=3.0, samples=4.0, density=1.0),
            _case("zuko", step=2.0, samples=8.0),
        ],
    }
    lines = report.peers([run]).splitlines()
    assert lines[3] == (
        "| maf | 16 | zuko | 2.00 (2.00 to 2.00) | 1.50 | 8.00 (8.00 to 8.00) "
        "| 0.50 | - | - | 2.0 |"
    )
    assert "zuko 1.6.0" in lines[-1]


@pytest.mark.parametrize("given", ["zuko", "nothing=python3", "zuko=/nowhere"])
def test_an_interpreter_that_is_none_is_refused(given, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--quick", "--python", given])
    assert "an interpreter; got" in capsys.readouterr().err


def test_a_library_elsewhere_counts_as_installed():
    assert "distrax" in _peers.installed("nsf_coupling", ["distrax"])
    assert "distrax" not in _peers.installed("maf", ["distrax"])
