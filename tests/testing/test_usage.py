"""The kit as users meet it: single checks, registries, other set-ups."""

import sys

import pytest

from tests.testing import right, wrong
from tfp_flows import testing
from tfp_flows.bijectors import Planar, Scan


def test_a_check_runs_alone_by_its_name():
    case = testing.BijectorCase("scaling", right.Scaling, [2])
    result = testing.CHECKS["log_det"](case)
    assert result.passed
    assert result.check == "log_det"
    case = testing.BijectorCase("wrong", wrong.AbsoluteSumScaling, [2])
    with pytest.raises(testing.ConformanceError, match="wrong failed 1 of 1"):
        testing.CHECKS["log_det"](case)


# One line adds a bijector; its traced functions serve all its checks.
REGISTRY = [testing.BijectorCase("scaling-3", right.Scaling, event_shape=[3])]


@pytest.mark.parametrize("check", ["round_trip", "log_det", "gradients"])
@pytest.mark.parametrize("case", REGISTRY, ids=lambda case: case.name)
def test_a_registry_of_cases_times_checks(case, check):
    assert testing.CHECKS[check](case).measurements


@pytest.mark.slow
def test_leading_axes_reach_the_bijector():
    report = testing.check_bijector(
        lambda **parameters: Scan(Planar(**parameters)),
        [2],
        parameter_shapes=testing.parameter_shapes_of(Planar, leading=(3,)),
        identity_at=["u"],
        checks=["batch_shape", "slicing", "identity"],
    )
    assert len(report.passed) == 3


def test_without_keras_its_variables_are_not_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    report = testing.check_bijector(
        right.Scaling, [2], checks=["keras_variables"]
    )
    assert report.passed == ()
    assert "Keras" in report["keras_variables"].not_applicable


def test_fixed_parameter_shapes_integrate_by_importance_sampling():
    shapes = {"log_scale": testing.ParameterShape([3])}
    options = {"parameter_shapes": shapes, "checks": ["density"]}
    report = testing.check_bijector(right.Scaling, [3], **options)
    measured = report["density"].measurements
    assert all("importance" in m.what for m in measured)
    with pytest.raises(testing.ConformanceError):
        testing.check_bijector(wrong.AbsoluteSumScaling, [3], **options)


def test_one_dimension_is_integrated_in_one_dimension():
    report = testing.check_bijector(right.Radial, [1], checks=["density"])
    assert "1-D" in report["density"].measurements[0].what
