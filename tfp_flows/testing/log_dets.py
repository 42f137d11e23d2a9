"""Check of both log-dets against Jacobians by automatic differentiation."""

import numpy as np

from tfp_flows.testing import evaluation
from tfp_flows.testing.case import NUM_EXAMPLES, BijectorCase
from tfp_flows.testing.report import Findings

__all__ = ["check_log_det"]


def check_log_det(case: BijectorCase, findings: Findings) -> None:
    """`fldj(x)` and `ildj(y)` equal slogdet of the float64 Jacobians."""
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    with findings.attempt("log-dets and Jacobians"):
        found = evaluation.Evaluator(case).values(x, y, parameters)
        matrices = evaluation.jacobians(case, x, y, parameters)
        for q, direction, points in (
            ("fldj", "forward", x),
            ("ildj", "inverse", y),
        ):
            with np.errstate(all="ignore"):
                expected = np.linalg.slogdet(matrices[direction])[1]
            findings.close(
                f"{direction} log-det",
                np.broadcast_to(found[q], expected.shape),
                expected,
                case.tolerances.log_det,
                where=case.describe(points, parameters),
            )
