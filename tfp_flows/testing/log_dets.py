"""Checks of the Jacobians: their determinants, and what must be zero."""

import numpy as np

from tfp_flows.testing import evaluation
from tfp_flows.testing.case import NUM_EXAMPLES, BijectorCase
from tfp_flows.testing.report import Findings

__all__ = ["check_autoregressive", "check_log_det"]


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


def check_autoregressive(case: BijectorCase, findings: Findings) -> None:
    """No coordinate depends on a later one, in the order that is promised.

    The entries of both Jacobians are exactly zero, not only small.
    """
    if case.autoregressive_order is None:
        findings.not_applicable = (
            "no promise (`autoregressive_order` is not given)"
        )
        return
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    place = np.asarray(case.autoregressive_order)
    later = place > place[:, np.newaxis]
    with findings.attempt("Jacobians"):
        matrices = evaluation.jacobians(case, x, y, parameters)
        for direction, points in (("forward", x), ("inverse", y)):
            entries = np.where(later, matrices[direction], 0.0)
            findings.close(
                f"Jacobian of {direction} where it must be zero",
                entries,
                np.zeros_like(entries),
                np.finfo(np.float64).smallest_subnormal,
                scale=1.0,
                where=case.describe(points, parameters),
            )
