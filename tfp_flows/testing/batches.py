"""Checks of unusual batches: of size one behind others, and empty."""

import numpy as np
import tensorflow as tf

from tfp_flows.testing import evaluation
from tfp_flows.testing.case import BijectorCase, Tensors
from tfp_flows.testing.report import Findings

__all__ = ["check_batches"]

# One more than the sizes up to which kernels take a path of their own.
MANY = 6

# Batch shapes of the points, for parameters of batch [0]; how it is run, and
# of what.
_EMPTY: tuple[tuple[tuple[int, ...], str, tuple[str, ...]], ...] = (
    ((0,), "tf.function", evaluation.AT_X),
    ((2, 0), "eager", evaluation.SIGNATURE),
)


def check_batches(case: BijectorCase, findings: Findings) -> None:
    """Batches `[6, 1]` of parameters with one point, and empty ones.

    Both values of `[6, 1]` are those of `[6]`, in float32 if the case has it.
    The results and gradients of an empty batch have its shape, eagerly and in
    a `tf.function`. There are kernels of TensorFlow that end the process here,
    without a word.
    """
    with findings.attempt(f"parameters of batch [{MANY}, 1], one point"):
        _check_column(case, findings)
    for sample, mode, quantities in _EMPTY:
        what = f"parameters of batch [0], points {list(sample)}, {mode}"
        with findings.attempt(what):
            _check_empty(case, what, sample, mode, quantities, findings)


def _check_column(case: BijectorCase, findings: Findings) -> None:
    dtype = "float32" if "float32" in case.dtypes else "float64"
    parameters = case.parameters("batches", (MANY,))
    x, y = (case.points(f"batches {p}", ()) for p in "xy")
    column = {
        name: np.expand_dims(value, len(case.shapes[name].leading) + 1)
        for name, value in parameters.items()
    }
    flat, found = (
        evaluation.outputs(
            case.fresh(given, dtype),
            tf.constant(x, dtype),
            tf.constant(y, dtype),
            case.event_ndims,
            ("forward", "inverse"),
        )
        for given in (parameters, column)
    )
    expected = {}
    for q, value in flat.items():
        full = np.broadcast_to(value, (MANY, *case.event_shape))
        expected[q] = full[:, np.newaxis]
    evaluation.close_outputs(
        findings,
        f"{{}} for parameters of batch [{MANY}, 1] and one point, {dtype}",
        found,
        expected,
        case.tolerances.same if dtype == "float64" else case.tolerances.float32,
    )


def _check_empty(
    case: BijectorCase,
    what: str,
    sample: tuple[int, ...],
    mode: str,
    quantities: tuple[str, ...],
    findings: Findings,
) -> None:
    parameters = case.tensors(case.parameters("batches", (0,)))
    x, y = (tf.zeros([*sample, *case.event_shape], tf.float64) for _ in "xy")

    def call(
        x: tf.Tensor, y: tf.Tensor, parameters: Tensors
    ) -> tuple[Tensors, list[tf.Tensor]]:
        sources = [x, y, *parameters.values()]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            bijector = case.build(**parameters)
            found = evaluation.outputs(
                bijector, x, y, case.event_ndims, quantities
            )
            loss = evaluation.total(found)
        gradients = tape.gradient(
            loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return found, gradients

    run = call if mode == "eager" else tf.function(call, autograph=False)
    found, gradients = run(x, y, parameters)
    for q, value in found.items():
        is_image = q in ("forward", "inverse")
        expected = [*sample, *(case.event_shape if is_image else ())]
        given = list(value.shape)
        if not is_image:
            # TFP lets a constant Jacobian leave out the points' batch.
            given = list(np.broadcast_shapes(given, expected))
        findings.require(
            given == expected,
            f"shape of {q}, {what}",
            expected=expected,
            found=list(value.shape),
        )
    for source, gradient in zip(
        [x, y, *parameters.values()], gradients, strict=True
    ):
        findings.require(
            gradient.shape == source.shape,
            f"shape of a gradient, {what}",
            expected=source.shape,
            found=gradient.shape,
        )
        findings.finite(f"gradient, {what}", gradient)
