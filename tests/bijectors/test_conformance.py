"""Every bijector of the registry passes every check of the kit."""

import dataclasses

import pytest

from tests.bijectors.registry import CASES
from tfp_flows.testing import check_case

# The others are left to the slow run, to keep the default one short.
DEFAULT = ("affine-2", "circular-3")

# One case of each kind, for which the checks of derivatives and loops run all
# that they know; `tests/interop/test_matrix.py` has all classes.
THOROUGH = (
    "scan-planar-2",
    "affine-context-3",
    "conf-5",
    "scan-sylvester-triangular-2",
    "iaf-context-3",
    "spline-3",
)
OF_PROGRAMS = (
    "dynamic_shapes",
    "jacobians",
    "hessians",
    "vectorized_map",
    "control_flow",
)


def _parameter(case):
    marks = [] if case.name in DEFAULT else [pytest.mark.slow]
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
def test_conformance(case):
    report = check_case(case)
    print(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", THOROUGH)
def test_every_program(name):
    (case,) = (case for case in CASES if case.name == name)
    thorough = dataclasses.replace(case, thorough=True)
    print(check_case(thorough, OF_PROGRAMS))
