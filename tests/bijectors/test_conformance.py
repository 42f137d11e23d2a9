"""Every bijector of the registry passes every check of the kit."""

import pytest

from tests.bijectors.registry import CASES
from tfp_flows.testing import check_case

# Left to the slow run, to keep the default one short.
SLOW_SIZES = (1, 8, 64)


def _parameter(case):
    is_slow = case.event_shape[0] in SLOW_SIZES
    marks = [pytest.mark.slow] if is_slow else []
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
def test_conformance(case):
    report = check_case(case)
    print(report)
