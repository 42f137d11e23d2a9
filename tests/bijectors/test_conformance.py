"""Every bijector of the registry passes every check of the kit."""

import pytest

from tests.bijectors.registry import CASES
from tfp_flows.testing import check_case

# The others are left to the slow run, to keep the default one short.
DEFAULT = (
    "planar-2",
    "radial-2",
    "affine-2",
    "circular-3",
    "s-log-2",
)


def _parameter(case):
    marks = [] if case.name in DEFAULT else [pytest.mark.slow]
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
def test_conformance(case):
    report = check_case(case)
    print(report)
