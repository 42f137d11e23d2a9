"""Checks that forward and inverse undo one another, and that caches agree."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.testing import evaluation, tolerances
from tfp_flows.testing.case import (
    NUM_EXAMPLES,
    Arrays,
    BijectorCase,
    Tensors,
)
from tfp_flows.testing.report import Findings

__all__ = ["check_cache", "check_round_trip"]


def check_round_trip(case: BijectorCase, findings: Findings) -> None:
    """`inverse(forward(x)) = x`, `forward(inverse(y)) = y`; nothing cached.

    TFP returns the argument of the other direction from its cache, so that a
    wrong inverse looks right. Here the middle value goes to a second
    bijector on tensors of its own; `check_cache` also sends a copy of it
    back to the same bijector.
    """
    x, y = case.points("x"), case.points("y")
    gentle = case.parameters("parameters", (NUM_EXAMPLES,))
    steep = case.parameters("parameters", (NUM_EXAMPLES,), tolerances.STEEP)
    jobs = [(dtype, dtype, gentle) for dtype in case.dtypes]
    if "float64" in case.dtypes:
        jobs.append(("float64", "float64, steep parameters", steep))
    for dtype, note, parameters in jobs:
        with findings.attempt(f"round trips, {note}"):
            evaluate = evaluation.Evaluator(case, dtype)
            there = evaluate.values(x, y, parameters)
            back = evaluate.values(
                there["inverse"], there["forward"], parameters
            )
            eps = np.finfo(dtype).eps
            _close(
                case,
                f"inverse(forward(x)), {note}",
                back["inverse"],
                x,
                eps * _reach(case, x, there["forward"], parameters),
                parameters,
                findings,
            )
            # At the image of y, inverse and forward change places.
            _close(
                case,
                f"forward(inverse(y)), {note}",
                back["forward"],
                y,
                eps * _reach(case, there["inverse"], y, parameters, True),
                parameters,
                findings,
            )


def _close(
    case: BijectorCase,
    what: str,
    found: np.ndarray,
    expected: np.ndarray,
    scale: np.ndarray,
    parameters: Arrays,
    findings: Findings,
) -> None:
    findings.close(
        what,
        found,
        expected,
        case.tolerances.round_trip,
        scale=np.broadcast_to(
            scale.reshape(scale.shape + (1,) * case.event_ndims), found.shape
        ),
        where=case.describe(expected, parameters),
    )


def _reach(
    case: BijectorCase,
    x: np.ndarray,
    y: np.ndarray,
    parameters: Arrays,
    to_y: bool = False,
) -> np.ndarray:
    """What one rounding of the middle value amounts to at the end, over eps.

    `|x| + |J^-1| (1 + |y|)` for the way back to x; with J and y, x exchanged
    for the way to y.
    """
    jacobian = evaluation.jacobians(case, x, y, parameters)
    matrix = jacobian["forward"]
    singular = np.linalg.svd(
        np.where(np.isfinite(matrix), matrix, 0.0), compute_uv=False
    )
    axes = tuple(range(2, x.ndim))
    norm_x = np.sqrt(np.sum(np.square(x, dtype=np.float64), axes))
    norm_y = np.sqrt(np.sum(np.square(y, dtype=np.float64), axes))
    if to_y:
        largest = np.minimum(
            singular[..., 0], tolerances.LARGEST_INVERSE_JACOBIAN
        )
        return norm_y + largest * (1.0 + norm_x)
    smallest = np.maximum(
        singular[..., -1], 1.0 / tolerances.LARGEST_INVERSE_JACOBIAN
    )
    return norm_x + (1.0 + norm_y) / smallest


def check_cache(case: BijectorCase, findings: Findings) -> None:
    """What one bijector says after other calls is what a fresh one says.

    Both directions, values and log-dets, eagerly and in a graph; at the very
    tensor that the other direction returned, and eagerly the value also at a
    copy of it, which no cache knows.
    """
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    starts = {"forward": case.points("x"), "inverse": case.points("y")}
    evaluate = evaluation.Evaluator(case)

    def call(starts: Tensors, parameters: Tensors) -> Any:
        return {
            direction: _after(case, direction, start, parameters)
            for direction, start in starts.items()
        }

    for how, function in (
        ("eager", call),
        ("graph", tf.function(call, autograph=False)),
    ):
        with findings.attempt(f"calls after calls, {how}"):
            found = function(
                {direction: tf.constant(p) for direction, p in starts.items()},
                case.tensors(parameters),
            )
            for direction, (image, results) in found.items():
                x, y = starts[direction], image.numpy()
                if direction == "inverse":
                    x, y = y, x
                expected = evaluate.values(x, y, parameters)
                where = case.describe(starts[direction], parameters)
                for (q, kind), value in results.items():
                    findings.close(
                        f"{q} of {kind} after {direction}, {how}, against "
                        "fresh",
                        np.broadcast_to(value, expected[q].shape),
                        expected[q],
                        case.tolerances.same,
                        where=where,
                    )


def _after(
    case: BijectorCase, direction: str, start: tf.Tensor, parameters: Tensors
) -> tuple[tf.Tensor, dict[tuple[str, str], tf.Tensor]]:
    """The image of `start`, and results at both from the same bijector."""
    bijector, n = case.build(**parameters), case.event_ndims
    image = getattr(bijector, direction)(start)
    x, y = (start, image) if direction == "forward" else (image, start)
    back = "inverse" if direction == "forward" else "forward"
    same = evaluation.outputs(bijector, x, y, n, (back, "fldj", "ildj"))
    results = {(q, "the same tensor"): value for q, value in same.items()}
    if tf.executing_eagerly():
        copied = getattr(bijector, back)(tf.identity(image))
        results[back, "a copy"] = copied
    return image, results
