"""Checks of sizes that a graph does not know, and of those that are wrong."""

import re
from typing import Any

import tensorflow as tf

from tfp_flows.testing import evaluation
from tfp_flows.testing.case import NUM_EXAMPLES, BijectorCase, Tensors
from tfp_flows.testing.report import Findings

__all__ = ["check_dynamic_shapes", "check_wrong_sizes"]


def check_dynamic_shapes(case: BijectorCase, findings: Findings) -> None:
    """Values and batch shape where a graph does not know the points' shape.

    Points of one direction have unknown rank, those of the other unknown
    sizes; a thorough case also exchanges them. The batch size of the
    parameters is unknown.
    """
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    n = case.event_ndims
    static_shapes: list[tf.TensorShape] = []

    def call(x: tf.Tensor, y: tf.Tensor, parameters: Tensors) -> Any:
        bijector = case.build(**parameters)
        static_shapes.append(bijector.experimental_batch_shape(x_event_ndims=n))
        found = evaluation.outputs(bijector, x, y, n)
        return found, bijector.experimental_batch_shape_tensor(x_event_ndims=n)

    batch = {
        name: tf.TensorSpec(spec.shape((None,)), tf.float64)
        for name, spec in case.shapes.items()
    }
    at_x, at_y = (case.describe(p, parameters) for p in (x, y))
    unknown_sizes = tf.TensorSpec([None] * x.ndim, tf.float64)
    unknown_rank = tf.TensorSpec(None, tf.float64)
    pairs = {
        "x of unknown rank and y of unknown sizes": (
            unknown_rank,
            unknown_sizes,
        ),
        "x of unknown sizes and y of unknown rank": (
            unknown_sizes,
            unknown_rank,
        ),
    }
    for what, points in list(pairs.items())[: 2 if case.thorough else 1]:
        with findings.attempt(f"a tf.function with {what}"):
            function = tf.function(
                call, input_signature=(*points, batch), autograph=False
            )
            found, batch_shape = function(
                tf.constant(x), tf.constant(y), case.tensors(parameters)
            )
            findings.require(
                static_shapes[-1].is_compatible_with([NUM_EXAMPLES]),
                "experimental_batch_shape in a graph, parameters [None]",
                expected="[None]",
                found=static_shapes[-1],
            )
            findings.require(
                batch_shape.numpy().tolist() == [NUM_EXAMPLES],
                "experimental_batch_shape_tensor in a graph, parameters [None]",
                expected=[NUM_EXAMPLES],
                found=batch_shape.numpy().tolist(),
            )
            evaluation.close_outputs(
                findings,
                f"{{}} in a graph with {what}",
                found,
                evaluation.Evaluator(case).values(x, y, parameters),
                case.tolerances.same,
                {"forward": at_x, "fldj": at_x, "inverse": at_y, "ildj": at_y},
            )


def check_wrong_sizes(case: BijectorCase, findings: Findings) -> None:
    """All four methods refuse points of another event size.

    The error names the argument in backticks, `x` or `y` (the other one
    inside a `tfb.Invert`), and holds the shape.
    """
    bijector = case.fresh(case.parameters("parameters", ()))
    n, size = case.event_ndims, case.event_shape[-1]
    for wrong in {size + 1, 1} - {size}:
        shape = (2, *case.event_shape[:-1], wrong)
        points = tf.ones(shape, tf.float64)
        for q in evaluation.QUANTITIES:
            what = f"{q} of points of shape {list(shape)}"
            try:
                evaluation.outputs(bijector, points, points, n, (q,))
            except (TypeError, ValueError) as error:
                text = str(error)
                numbers = re.escape(", ".join(map(str, shape)))
                findings.require(
                    re.search("`[xy]`", text) is not None
                    and re.search(numbers, text) is not None,
                    what,
                    expected="an error that names `x` or `y` and its shape",
                    found=error,
                )
            except Exception as error:
                findings.require(
                    False,
                    what,
                    expected="a ValueError that names the argument",
                    found=f"{type(error).__name__}: {error}",
                )
            else:
                findings.require(
                    False, what, expected="a ValueError", found="a result"
                )
