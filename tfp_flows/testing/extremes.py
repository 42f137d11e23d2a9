"""Checks at the edges: huge, tiny and special inputs, zero parameters."""

import numpy as np

from tfp_flows.testing import evaluation, tolerances
from tfp_flows.testing.case import (
    NUM_EXAMPLES,
    NUM_POINTS,
    Arrays,
    BijectorCase,
)
from tfp_flows.testing.report import Findings

__all__ = ["check_extreme_inputs", "check_identity"]

HUGE, TINY = 1e4, 1e-12


def check_extreme_inputs(case: BijectorCase, findings: Findings) -> None:
    """Values, log-dets and all gradients are finite at the edges.

    Points: 0, of size 1e-12, of size 1e4 in several directions, and each
    parameter's own value where it has the shape of a point (the centre of a
    radial map). Parameters: random, large, and all free reals zero.
    """
    parameters = _parameters(case)
    x, y = _points(case, parameters, 0), _points(case, parameters, -1)
    for dtype in case.dtypes:
        with findings.attempt(f"extreme inputs, {dtype}"):
            evaluate = evaluation.Evaluator(case, dtype)
            values = evaluate.values(x, y, parameters)
            gradients = evaluate.gradients(x, y, parameters)
            for q in evaluation.QUANTITIES:
                points = x if q in evaluation.AT_X else y
                where = case.describe(points, parameters)
                findings.finite(f"{q}, {dtype}", values[q], where)
                for target, gradient in gradients[q].items():
                    findings.finite(
                        f"gradient of {q} to {target}, {dtype}",
                        gradient,
                        where if target == "the input" else None,
                    )


def _parameters(case: BijectorCase) -> Arrays:
    """`[B]`: two random, one three times as large, one from zeros."""
    free = case.unconstrained("parameters", (NUM_EXAMPLES,))
    for name, value in free.items():
        shape = [1] * value.ndim
        axis = len(case.shapes[name].leading)
        shape[axis] = NUM_EXAMPLES
        free[name] = value * np.reshape([1.0, 1.0, 3.0, 0.0], shape)
    return case.constrain(free)


def _points(case: BijectorCase, parameters: Arrays, member: int) -> np.ndarray:
    event = tuple(case.event_shape)
    shape = (NUM_EXAMPLES, *event)
    rng = case.rng("extremes")
    signs = np.sign(rng.standard_normal(shape))
    one_hot = np.zeros((case.event_size,))
    one_hot[0] = HUGE
    rows = [
        np.zeros(shape),
        TINY * rng.standard_normal(shape),
        HUGE * signs,
        np.full(shape, -HUGE),
        np.broadcast_to(one_hot.reshape(event), shape),
    ]
    for name, spec in case.shapes.items():
        if tuple(spec.event) == event and len(rows) < NUM_POINTS:
            value = parameters[name]
            for _ in spec.leading:
                value = value[member]
            rows.append(value)
    while len(rows) < NUM_POINTS:
        rows.append(HUGE * rng.standard_normal(shape))
    return np.stack(rows)


def check_identity(case: BijectorCase, findings: Findings) -> None:
    """Where the identity is promised at zero parameters, it is exact."""
    if not case.identity_at:
        findings.not_applicable = "no promise (`identity_at` is empty)"
        return
    free = case.unconstrained("parameters", (NUM_EXAMPLES,))
    for name in case.identity_at:
        free[name] = np.zeros_like(free[name])
    parameters = case.constrain(free)
    x = case.points("x")
    names = ", ".join(f"`{name}`" for name in case.identity_at)
    num_coordinates = float(np.prod(case.event_shape))
    for dtype in case.dtypes:
        with findings.attempt(f"the identity, {dtype}"):
            found = evaluation.Evaluator(case, dtype).values(x, x, parameters)
            eps = float(np.finfo(dtype).eps)
            rounding = tolerances.IDENTITY_ROUNDINGS * eps
            for q, value in found.items():
                is_image = q in ("forward", "inverse")
                findings.close(
                    f"{q} at zero {names}, {dtype}",
                    value,
                    x if is_image else np.zeros_like(value),
                    # A log-det is a sum over the coordinates.
                    rounding * (1.0 if is_image else num_coordinates**0.5),
                    where=case.describe(x, parameters),
                )
