"""Checks of Jacobians by pfor and of second derivatives."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.testing import evaluation
from tfp_flows.testing.case import NUM_EXAMPLES, Arrays, BijectorCase, Tensors
from tfp_flows.testing.gradients import compare, derivatives, distances
from tfp_flows.testing.report import Findings

__all__ = ["check_hessians", "check_jacobians"]

# Index of the points [N, B] at which Jacobians are taken, of scale 1.
ROW = 1


def check_jacobians(case: BijectorCase, findings: Findings) -> None:
    """Jacobians by pfor are those of single rows.

    `tape.batch_jacobian` of forward to its points, eagerly. A thorough case
    also has that of the inverse, and `tape.jacobian` of one number for each
    example to points and parameters, eagerly, in a graph and under XLA.
    """
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    weights = evaluation.weights_of(case, x.shape[:2])
    for weight in weights.values():
        weight[np.arange(len(weight)) != ROW] = 0.0
    matrices = evaluation.jacobians(case, x, y, parameters)
    gradients = evaluation.Evaluator(case)(x, y, parameters, weights=weights)[1]
    expected = {
        _batch_jacobians: {
            direction: matrix[ROW].reshape(
                NUM_EXAMPLES, *case.event_shape, *case.event_shape
            )
            for direction, matrix in matrices.items()
        },
        _jacobians: {
            name: _block_diagonal(case, name, value)
            for name, value in gradients.items()
        },
    }
    programs = [
        (function, mode)
        for function in expected
        for mode in ("eager", "graph", "xla")
    ]
    for function, mode in programs if case.thorough else programs[:1]:
        what = f"tape.{function.__name__.strip('_').rstrip('s')}, {mode}"
        with findings.attempt(what):
            call = functools.partial(function, case)
            if mode != "eager":
                call = tf.function(
                    call, jit_compile=mode == "xla" or None, autograph=False
                )
            found = call(
                tf.constant(x[ROW]),
                tf.constant(y[ROW]),
                case.tensors(parameters),
                case.tensors({q: weight[ROW] for q, weight in weights.items()}),
            )
            evaluation.close_gradients(
                findings,
                f"{what} to {{}}",
                evaluation.arrays(found),
                {name: expected[function][name] for name in found},
                case.tolerances.same,
            )


def _batch_jacobians(
    case: BijectorCase,
    x: tf.Tensor,
    y: tf.Tensor,
    parameters: Tensors,
    weights: Tensors,
) -> Tensors:
    """Of values to their points, `[B] + event_shape + event_shape`."""
    del weights
    result = {}
    directions = (
        {"forward": x, "inverse": y} if case.thorough else {"forward": x}
    )
    for direction, points in directions.items():
        with tf.GradientTape() as tape:
            tape.watch(points)
            image = getattr(case.build(**parameters), direction)(points)
        result[direction] = tape.batch_jacobian(image, points)
    return result


def _jacobians(
    case: BijectorCase,
    x: tf.Tensor,
    y: tf.Tensor,
    parameters: Tensors,
    weights: Tensors,
) -> Tensors:
    """Of the weighted sum `[B]` of all quantities, to everything."""
    with tf.GradientTape() as tape:
        tape.watch((x, y, parameters))
        bijector = case.build(**parameters)
        found = evaluation.outputs(bijector, x, y, case.event_ndims)
        sums = tf.zeros_like(weights["fldj"])
        for q, value in found.items():
            terms = weights[q] * value
            sums += tf.reduce_sum(terms, list(range(1, terms.shape.rank)))
    sources = {f"`{name}`": p for name, p in parameters.items()}
    return tape.jacobian(
        sums,
        {"x": x, "y": y, **sources},
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def _block_diagonal(
    case: BijectorCase, name: str, gradient: np.ndarray
) -> np.ndarray:
    """`[B] + shape`: row b holds the gradient of example b, and zeros."""
    if name in ("x", "y"):
        gradient, axis = gradient[ROW], 0
    else:
        axis = len(case.shapes[name.strip("`")].leading)
    rows = np.zeros((NUM_EXAMPLES, *gradient.shape))
    for b in range(NUM_EXAMPLES):
        index: tuple[Any, ...] = (*(slice(None),) * axis, b)
        rows[(b, *index)] = gradient[index]
    return rows


def check_hessians(case: BijectorCase, findings: Findings) -> None:
    """Second derivatives are the differences of first derivatives.

    Of a sum of values and log-dets: the derivatives of its gradients, to the
    points and to every parameter, along a random move of the points. Eagerly;
    of a thorough case also those of gradients that a `tf.function` returns,
    with both tapes in one `tf.function`, and that under XLA.
    """
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    rng = case.rng("second directions")
    size = np.sqrt(max(1, case.event_size))
    tangent = rng.standard_normal(x.shape) / size
    evaluate = evaluation.Evaluator(case)
    moved: dict[float, Arrays] = {
        t: evaluate(x + t * tangent, y + t * tangent, parameters)[1]
        for t in distances()
    }
    modes = ("eager", "graph", "nested", "xla")
    for mode in modes if case.thorough else modes[:1]:
        with findings.attempt(f"second derivatives, {mode}"):
            found = evaluation.second_derivatives(
                case, mode, x, y, parameters, tangent
            )
            for name, value in found.items():
                terms = derivatives(moved, name)
                compare(
                    case,
                    f"second derivative to {name} and the input, {mode}",
                    value,
                    terms,
                    findings,
                    scale=1.0 + np.abs(value) + np.max(np.abs(terms[0])),
                )
