"""What the kit says when something fails, and when nothing does."""

import numpy as np
import pytest

from tests.testing import right, wrong
from tfp_flows import testing
from tfp_flows.testing.report import Findings


def _error(*arguments, **options):
    with pytest.raises(testing.ConformanceError) as caught:
        testing.check_bijector(*arguments, **options)
    return caught.value


def test_the_error_lists_every_failed_check_with_its_parameters():
    error = _error(
        wrong.AbsoluteSumScaling,
        [3],
        checks=["round_trip", "log_det", "density"],
    )
    assert isinstance(error, AssertionError)
    assert error.failed == ("log_det", "density")
    text = str(error)
    assert text.startswith("AbsoluteSumScaling failed 2 of 3 checks.")
    for part in (
        "forward log-det",
        "inverse log-det",
        "integral of the density in 2-D",
        "expected: ",
        "found: ",
        "log_scale=[",
        "point=[",
    ):
        assert part in text
    assert error.results[0].worst.error > error.results[0].worst.tolerance


def test_long_lists_of_failures_are_cut():
    (result,) = _error(
        wrong.StaleCache, [2], checks=["cached_variables"]
    ).results
    assert len(result.failures) > 6
    assert f"and {len(result.failures) - 6} more" in str(result)
    assert "FlowBijector" in str(result)


def test_an_exception_is_a_failure_of_its_step_and_not_the_end():
    def build(log_scale):
        raise RuntimeError("no such\nthing")

    error = _error(
        build,
        [2],
        parameter_shapes={"log_scale": testing.ParameterShape([2])},
        checks=["round_trip", "copy"],
    )
    assert error.failed == ("round_trip", "copy")
    assert "RuntimeError: no such thing" in str(error)


def test_a_report_holds_every_measured_error():
    checks = ["log_det", "identity", "extreme_inputs"]
    report = testing.check_bijector(right.Scaling, [2], checks=checks)
    assert report.passed == ("log_det", "extreme_inputs")
    assert report.name == "Scaling"
    measured = {m.what: m.error for m in report["log_det"].measurements}
    assert set(measured) == {"forward log-det", "inverse log-det"}
    assert all(0.0 <= error < 1e-12 for error in measured.values())
    assert "no promise" in report["identity"].not_applicable
    assert "largest error" in str(report)
    with pytest.raises(KeyError):
        report["density"]


def test_close_is_relative_and_never_takes_a_nan():
    findings = Findings()
    findings.close("a", [1e6 + 1.0], [1e6], 1e-5)
    assert not findings.failures
    for bad in (np.nan, np.inf):
        findings = Findings()
        findings.close("a", [bad], [1.0], 1e3)
        assert len(findings.failures) == 1
        findings = Findings()
        findings.close("a", [1.0], [bad], 1e3)
        assert len(findings.failures) == 1
    findings = Findings()
    findings.close("a", np.ones([2, 1]), np.ones([2, 2]), 1.0)
    assert str(findings.failures[0]).startswith("shape of a")
    findings = Findings()
    findings.close("a", np.ones([2, 1]), np.ones([2, 2]), 1.0, broadcast=True)
    assert not findings.failures
