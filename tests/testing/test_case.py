"""Cases: the shapes they derive, the numbers they draw, what they refuse."""

import functools

import numpy as np
import pytest
import tensorflow_probability as tfp

from tests.testing import right, wrong
from tfp_flows import testing

tfb = tfp.bijectors


def test_shapes_come_from_the_properties():
    case = testing.BijectorCase("iaf", right.InverseAutoregressive, [3])
    shapes = {name: spec.event for name, spec in case.shapes.items()}
    assert shapes == {"shift": (3, 3), "scale": (3, 3), "log_scale": (3,)}
    assert case.at_event_shape([2]).shapes["shift"].event == (2, 2)


def test_leading_axes_stand_in_front_of_the_batch():
    spec = testing.ParameterShape(event=(5,), leading=(4,))
    assert spec.shape((2, 3)) == (4, 2, 3, 5)
    shapes = testing.parameter_shapes_of(right.Radial, leading=(4,))([3])
    assert shapes["z0"].shape((2,)) == (4, 2, 3)
    assert shapes["a"].shape((2,)) == (4, 2)


def test_a_partial_keeps_the_class_and_fixes_an_argument():
    build = functools.partial(right.Radial, b=0.5)
    case = testing.BijectorCase("radial", build, [3])
    assert case.bijector_class is right.Radial
    assert set(case.shapes) == {"z0", "a"}


def test_parameters_are_antithetic_exact_in_float32_and_reproducible():
    case = testing.BijectorCase("radial", right.Radial, [3])
    parameters = case.parameters("test", (4,))
    z0 = parameters["z0"]
    np.testing.assert_array_equal(z0[:2], -z0[2:])
    np.testing.assert_array_equal(z0, z0.astype(np.float32))
    np.testing.assert_array_equal(z0, case.parameters("test", (4,))["z0"])
    assert np.any(z0 != case.parameters("other", (4,))["z0"])


def test_constraints_hold():
    spec = testing.ParameterShape([3], constraint=tfb.Softplus())
    case = testing.BijectorCase(
        "scale", tfb.Scale, [3], parameter_shapes={"scale": spec}
    )
    assert np.all(case.parameters("test", (2, 4))["scale"] > 0.0)


def test_a_constraint_may_change_the_shape():
    spec = testing.ParameterShape(
        [3, 3], leading=[2], constraint=tfb.FillScaleTriL()
    )
    case = testing.BijectorCase(
        "tril", tfb.ScaleMatvecTriL, [3], parameter_shapes={"scale_tril": spec}
    )
    matrix = case.parameters("test", (4,))["scale_tril"]
    assert matrix.shape == (2, 4, 3, 3)
    np.testing.assert_array_equal(matrix, np.tril(matrix))


def test_points_reach_far_out():
    case = testing.BijectorCase("radial", right.Radial, [3])
    size = np.abs(case.points("x")).max((1, 2))
    assert size.min() < 0.5
    assert size.max() > 50.0


def test_points_of_circles_lie_on_them():
    case = testing.BijectorCase(
        "scaling", right.Scaling, [3], circular=(1,), half_width=2.0
    )
    np.testing.assert_array_equal(case.is_circular, [False, True, False])
    np.testing.assert_array_equal(case.base_scale, [1.0, 0.25, 1.0])
    reach = np.abs(case.points("x")).max((0, 1))
    assert 1.0 < reach[1] <= 2.0
    assert min(reach[0], reach[2]) > 50.0
    everywhere = testing.BijectorCase(
        "scaling", right.Scaling, [3], circular=True
    )
    assert np.abs(everywhere.points("x")).max() < np.pi


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (3, {}, "`build` must be .*; got 3"),
        (lambda u: None, {}, "`parameter_shapes` must be given"),
        (right.Scaling, {"dtypes": ["float16"]}, "`dtypes` must be .*float16"),
        (right.Scaling, {"dtypes": []}, "`dtypes` must be"),
        (
            right.Scaling,
            {"identity_at": ["u"]},
            r"`identity_at` must .*\['u'\]",
        ),
        (
            right.Scaling,
            {"autoregressive_order": [0, 1, 1]},
            r"`autoregressive_order` must hold .*\[0, 1, 1\]",
        ),
        (right.Scaling, {"checks": ["speed"]}, "`checks` must name .*speed"),
        (right.Scaling, {"checks": []}, "`checks` must name"),
        (tfb.RationalQuadraticSpline, {}, "RationalQuadraticSpline.bin_widths"),
    ],
)
def test_incomplete_cases_are_refused(build, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        testing.check_bijector(build, [3], **options)


def test_float64_alone():
    report = testing.check_bijector(
        right.Scaling,
        [2],
        dtypes=["float64"],
        checks=["round_trip", "dtypes", "extreme_inputs"],
    )
    measured = [m.what for r in report.results for m in r.measurements]
    assert measured
    assert not any("float32" in what for what in measured)
    # A fault of float32 alone is then no fault.
    testing.check_bijector(
        wrong.CoarseInFloat32, [2], dtypes=["float64"], checks=["dtypes"]
    )


def test_what_is_refused_must_be_refused():
    step = "tf.cond of the inverse"
    checks = ["control_flow"]
    refuses = {step: "no branches"}
    testing.check_bijector(
        wrong.RefusesBranches, [2], refuses=refuses, checks=checks
    )
    with pytest.raises(testing.ConformanceError, match="no branches"):
        testing.check_bijector(wrong.RefusesBranches, [2], checks=checks)
    with pytest.raises(testing.ConformanceError, match="found: *no error"):
        testing.check_bijector(
            right.Scaling, [2], refuses=refuses, checks=checks
        )
