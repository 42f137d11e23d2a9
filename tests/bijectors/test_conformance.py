"""Every bijector of the registry passes every check of the kit."""

import pytest

from tests.bijectors.registry import CASES
from tfp_flows.testing import check_case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conformance(case):
    report = check_case(case)
    print(report)
