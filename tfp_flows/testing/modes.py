"""Checks of how it is run: eagerly, in a graph, under XLA; in which dtype."""

import numpy as np
import tensorflow as tf

from tfp_flows.testing import evaluation
from tfp_flows.testing.case import NUM_EXAMPLES, BijectorCase
from tfp_flows.testing.report import Findings

__all__ = ["check_dtypes", "check_modes"]


def check_modes(case: BijectorCase, findings: Findings) -> None:
    """Values and gradients are equal eagerly, in a graph and under XLA.

    The graph is traced without autograph: Python branches on tensor values
    fail.
    """
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    found = {}
    for mode in ("eager", "graph", "xla"):
        with findings.attempt(f"{mode}, values and gradients"):
            evaluate = evaluation.Evaluator(case, mode=mode, fall_back=False)
            found[mode] = evaluate(x, y, parameters)
    if "eager" not in found:
        return
    values, gradients = found.pop("eager")
    for mode, (other_values, other_gradients) in found.items():
        for q, value in values.items():
            findings.close(
                f"{q}, {mode} against eager",
                other_values[q],
                value,
                case.tolerances.same,
                where=case.describe(
                    x if q in evaluation.AT_X else y, parameters
                ),
            )
        evaluation.close_gradients(
            findings,
            f"gradient to {{}}, {mode} against eager",
            other_gradients,
            gradients,
            case.tolerances.same,
        )


def check_dtypes(case: BijectorCase, findings: Findings) -> None:
    """Results have the dtype of the arguments; float32 is near float64."""
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    for dtype in case.dtypes:
        with findings.attempt(f"dtypes of the results, {dtype}"):
            bijector = case.fresh(parameters, dtype)
            found = evaluation.outputs(
                bijector,
                tf.constant(x[0], dtype),
                tf.constant(y[0], dtype),
                case.event_ndims,
            )
            for q, value in found.items():
                findings.require(
                    value.dtype.name == dtype,
                    f"dtype of {q}",
                    expected=dtype,
                    found=value.dtype.name,
                )
    if "float32" not in case.dtypes:
        return
    with findings.attempt("float32 values and gradients"):
        low, high = (
            evaluation.Evaluator(case, dtype)
            for dtype in ("float32", "float64")
        )
        found, expected = (e.values(x, y, parameters) for e in (low, high))
        for q, value in expected.items():
            findings.close(
                f"{q}, float32 against float64",
                found[q],
                value,
                case.tolerances.float32,
                where=case.describe(
                    x if q in evaluation.AT_X else y, parameters
                ),
            )
        low_gradients = low.gradients(x, y, parameters)
        for q, gradients in high.gradients(x, y, parameters).items():
            for target, gradient in gradients.items():
                findings.close(
                    f"gradient of {q} to {target}, float32 against float64",
                    low_gradients[q][target],
                    gradient,
                    case.tolerances.float32_gradient,
                    scale=1.0 + np.max(np.abs(gradient), initial=0.0),
                )
