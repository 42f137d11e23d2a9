"""The mixed_precision benchmark, at tiny sizes."""

import json
import math

import keras
import pytest

from benchmarks import mixed_precision as benchmark
from configs.flows import FLOWS


@pytest.mark.slow
def test_both_policies_are_measured(tmp_path, capsys):
    out = tmp_path / "results.json"
    before = keras.config.dtype_policy()

    assert benchmark.main(["--quick", "--out", str(out)]) == 0

    assert keras.config.dtype_policy() == before
    (case,) = json.loads(out.read_text())["cases"]
    full, low = (case[policy] for policy in benchmark.POLICIES)
    for figures in (full, low):
        assert all(map(math.isfinite, figures.values()))
        assert -100 < figures["elbo"] < figures["log_p"] < 0
    # Rounded, or it would measure nothing, but hardly.
    assert full["elbo"] != low["elbo"]
    assert low["elbo"] == pytest.approx(full["elbo"], rel=0.01)
    assert "| `flow=planar` |" in capsys.readouterr().out


def test_every_flow_is_measured():
    measured = " ".join(benchmark.Settings().posteriors)
    assert all(f"flow={name}" in measured for name in ("none", *FLOWS))
