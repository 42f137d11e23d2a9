"""Check of the gradients to the input and to every parameter."""

import math
from collections.abc import Sequence

import numpy as np

from tfp_flows.testing.case import NUM_EXAMPLES, Arrays, BijectorCase
from tfp_flows.testing.evaluation import (
    AT_X,
    QUANTITIES,
    Evaluator,
    weights_of,
)
from tfp_flows.testing.report import Describe, Findings
from tfp_flows.testing.tolerances import FINITE_DIFFERENCE_STEPS

__all__ = ["check_gradients", "compare", "derivatives", "distances"]

# Five-point rule: multiples of the step, and coefficients times the step.
RULE = {1: 8.0 / 12.0, -1: -8.0 / 12.0, 2: -1.0 / 12.0, -2: 1.0 / 12.0}

# Arrays at a distance along a curve.
Curve = dict[float, Arrays]


def check_gradients(case: BijectorCase, findings: Findings) -> None:
    """Gradients of value and log-det, both directions, by differences.

    Each gradient is finite and equals the finite difference of
    <cotangent, quantity> along a random direction, per example. The gradient
    to the input is not zero in either direction, and no parameter's gradient
    is zero in all four quantities. A gradient that is None counts as zero.
    """
    free = case.unconstrained("parameters", (NUM_EXAMPLES,))
    parameters = case.constrain(free)
    x, y = case.points("x"), case.points("y")
    rng = case.rng("directions")
    with findings.attempt("gradients"):
        evaluate = Evaluator(case)
        gradients = evaluate.gradients(x, y, parameters)
        _check_presence(case, gradients, findings)
        weights = weights_of(case, x.shape[:2])

        # x and y move together, each seen by its own quantities.
        tangent = _direction(rng, x.shape, case.event_size)
        moved = {
            t: evaluate.values(x + t * tangent, y + t * tangent, parameters)
            for t in distances()
        }
        for q in QUANTITIES:
            found = gradients[q]["the input"] * tangent
            compare(
                case,
                f"gradient of {q} to the input",
                found.sum(tuple(range(2, x.ndim))),
                [d * weights[q] for d in derivatives(moved, q)],
                findings,
                case.describe(x if q in AT_X else y, parameters),
            )

        for name, spec in case.shapes.items():
            curve, tangent = _curve(case, free, parameters, name, rng)
            moved = {t: evaluate.values(x, y, p) for t, p in curve.items()}
            batch_axis = len(spec.leading)
            other_axes = [a for a in range(tangent.ndim) if a != batch_axis]
            for q in QUANTITIES:
                found = gradients[q][f"`{name}`"] * tangent
                terms = [d * weights[q] for d in derivatives(moved, q)]
                compare(
                    case,
                    f"gradient of {q} to `{name}`",
                    found.sum(tuple(other_axes)),
                    [np.moveaxis(t, 1, 0) for t in terms],
                    findings,
                    case.describe_example(parameters),
                )


def _direction(
    rng: np.random.Generator, shape: Sequence[int], event_size: int
) -> np.ndarray:
    """Random, of norm about one for each event."""
    return rng.standard_normal(shape) / np.sqrt(max(1, event_size))


def _curve(
    case: BijectorCase,
    free: Arrays,
    parameters: Arrays,
    name: str,
    rng: np.random.Generator,
) -> tuple[Curve, np.ndarray]:
    """Parameters with one of them moved, by distance; the tangent at 0.

    The direction is random in the free reals, so that the constraint holds
    along the curve.
    """
    spec = case.shapes[name]
    size = math.prod(spec.unconstrained_shape(()))
    direction = _direction(rng, free[name].shape, size)

    def value(t: float) -> np.ndarray:
        moved = {name: free[name] + t * direction}
        return case.constrain(moved, exact=False)[name]

    # `parameters` are rounded to float32: the curve is shifted onto them.
    shift = parameters[name] - value(0.0)
    curve = {t: {**parameters, name: value(t) + shift} for t in distances()}
    return curve, derivatives(curve, name)[0]


def _check_presence(
    case: BijectorCase, gradients: dict[str, Arrays], findings: Findings
) -> None:
    for q in QUANTITIES:
        for target, gradient in gradients[q].items():
            findings.finite(f"gradient of {q} to {target}", gradient)
    for q in ("forward", "inverse"):
        findings.require(
            bool(np.any(gradients[q]["the input"])),
            f"gradient of {q} to the input",
            expected="not zero",
            found="zero or None",
        )
    for name in case.shapes:
        findings.require(
            any(np.any(gradients[q][f"`{name}`"]) for q in QUANTITIES),
            f"gradients to `{name}`",
            expected="not zero for one of forward, inverse, fldj, ildj",
            found="zero or None for all",
        )


def distances() -> list[float]:
    """All distances at which `derivatives` needs a value."""
    return [m * h for h in FINITE_DIFFERENCE_STEPS for m in RULE]


def derivatives(curve: Curve, name: str) -> list[np.ndarray]:
    """Derivative at 0 of `curve[t][name]`, once with each step."""
    return [
        np.sum([c / h * curve[m * h][name] for m, c in RULE.items()], axis=0)
        for h in FINITE_DIFFERENCE_STEPS
    ]


def compare(
    case: BijectorCase,
    what: str,
    found: np.ndarray,
    terms: Sequence[np.ndarray],
    findings: Findings,
    where: Describe | None = None,
    scale: np.ndarray | None = None,
) -> None:
    """Compares with the sums of `terms` over their further axes.

    There is one array of terms for each step; the nearer sum counts. A sum of
    terms that cancel is right relative to the terms: the default of `scale`.
    """
    axes = tuple(range(found.ndim, terms[0].ndim))
    sums = [t.sum(axes) for t in terms]
    nearer = np.abs(found - sums[1]) < np.abs(found - sums[0])
    findings.close(
        what,
        found,
        np.where(nearer, sums[1], sums[0]),
        case.tolerances.gradient,
        scale=(
            1.0 + np.abs(found) + np.abs(terms[0]).sum(axes)
            if scale is None
            else scale
        ),
        where=where,
    )
