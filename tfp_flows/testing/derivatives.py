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

    `tape.batch_jacobian` of both values to their points, eagerly, and
    `tape.jacobian` of one number for each example, to points and parameters,
    in a graph, where it is a sum of the forward quantities. A thorough case has
    all quantities, and each Jacobian eagerly, in a graph and under XLA.
    """
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    weights = evaluation.weights_of(case, x.shape[:2])
    for weight in weights.values():
        weight[np.arange(len(weight)) != ROW] = 0.0
    quantities = evaluation.QUANTITIES if case.thorough else evaluation.AT_X
    weights = {
        q: weight * float(q in quantities) for q, weight in weights.items()
    }
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
    for function, mode, is_thorough in (
        (_batch_jacobians, "eager", False),
        (_batch_jacobians, "graph", True),
        (_batch_jacobians, "xla", True),
        (_jacobians, "eager", True),
        (_jacobians, "graph", False),
        (_jacobians, "xla", True),
    ):
        if is_thorough and not case.thorough:
            continue
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
                case.tensors({q: weights[q][ROW] for q in quantities}),
            )
            evaluation.close_gradients(
                findings,
                f"{what} to {{}}",
                evaluation.arrays(found),
                expected[function],
                case.tolerances.same,
            )


def _batch_jacobians(
    case: BijectorCase,
    x: tf.Tensor,
    y: tf.Tensor,
    parameters: Tensors,
    weights: Tensors,
) -> Tensors:
    """Of both values to their points, `[B] + event_shape + event_shape`."""
    del weights
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((x, y))
        bijector = case.build(**parameters)
        images = bijector.forward(x), bijector.inverse(y)
    return {
        "forward": tape.batch_jacobian(images[0], x),
        "inverse": tape.batch_jacobian(images[1], y),
    }


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
        found = evaluation.outputs(
            bijector, x, y, case.event_ndims, tuple(weights)
        )
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
    points and to every parameter, along a random move of the points. Eagerly
    and in a graph; of a thorough case also under XLA.
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
    for mode in (
        ("eager", "graph", "xla") if case.thorough else ("eager", "graph")
    ):
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
