"""The benchmark of densities, at tiny sizes and with what is installed."""

import json
import re
import sys

import pytest

from benchmarks import density as benchmark
from benchmarks._peer_process import PeerProcess
from trainers.report import libraries as report


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


def _peer(command, library="zuko"):
    return PeerProcess(library, f"{library} (maf, D = 2)", command)


def test_a_library_that_fails_is_named_with_its_last_words():
    command = benchmark._peer_command("nothing", "maf", 2, benchmark.QUICK)
    with pytest.raises(
        RuntimeError,
        match=re.escape("The process of nothing (maf, D = 2) has ended with")
        + ".*KeyError: 'nothing'$",
    ):
        _peer(command, "nothing")


@pytest.mark.parametrize(
    ("says", "words"),
    [("'no memory'", "code 1: no memory"), ("3", "code 3: it said nothing")],
)
def test_a_library_that_fails_later(says, words):
    first = '{"update": 1.0}'
    code = (
        f"import sys; print({first!r}, flush=True); input(); sys.exit({says})"
    )
    with _peer([sys.executable, "-c", code]) as peer:
        assert peer.first_seconds == {"update": 1.0}
        with pytest.raises(RuntimeError, match=f"zuko .*{words}"):
            peer.seconds("update")
        with pytest.raises(RuntimeError, match=f"zuko .*{words}"):
            peer.seconds("update")  # its pipe is broken
