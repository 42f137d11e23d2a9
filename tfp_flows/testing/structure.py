"""Checks of the bijector as an object: composite tensor, copies, slices."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.testing.case import NUM_EXAMPLES, Arrays, BijectorCase
from tfp_flows.testing.evaluation import (
    SIGNATURE,
    Evaluator,
    close_outputs,
    outputs,
    total,
    values,
)
from tfp_flows.testing.report import Findings

__all__ = [
    "check_composite",
    "check_copy",
    "check_slicing",
    "compare",
]

tfb = tfp.bijectors

_NOT_COMPOSITE = (
    "the parameters' tensors; derive the class from "
    "tfb.AutoCompositeTensorBijector"
)


def compare(
    case: BijectorCase,
    what: str,
    bijector: tfb.Bijector,
    expected: Arrays,
    x: np.ndarray,
    y: np.ndarray,
    findings: Findings,
    quantities: Sequence[str] = SIGNATURE,
) -> None:
    """Values of a bijector, at points it has not seen, against `expected`."""
    found = outputs(
        bijector, tf.constant(x), tf.constant(y), case.event_ndims, quantities
    )
    close_outputs(
        findings, f"{{}} of {what}", found, expected, case.tolerances.same
    )


def check_composite(case: BijectorCase, findings: Findings) -> None:
    """The bijector passes through `tf.nest` and `tf.function` as its tensors.

    One trace serves other parameter values, and the gradient reaches
    parameters outside the function.
    """
    first = case.parameters("parameters", (NUM_EXAMPLES,))
    second = case.parameters("other parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    evaluate = Evaluator(case)
    with findings.attempt("tf.nest with expand_composites"):
        bijector, other = case.fresh(first), case.fresh(second)
        leaves = tf.nest.flatten(bijector, expand_composites=True)
        if any(leaf is bijector for leaf in leaves):
            findings.require(
                False,
                "tf.nest.flatten(bijector, expand_composites=True)",
                expected=_NOT_COMPOSITE,
                found="the bijector itself, which is no composite tensor",
            )
            return
        packed = tf.nest.pack_sequence_as(
            bijector,
            tf.nest.flatten(other, expand_composites=True),
            expand_composites=True,
        )
        expected = evaluate.values(x, y, second)
        compare(case, "a repacked bijector", packed, expected, x, y, findings)

    def call(bijector: tfb.Bijector, x: tf.Tensor, y: tf.Tensor) -> Any:
        found = outputs(bijector, x, y, case.event_ndims, SIGNATURE)
        return found, bijector

    with findings.attempt("a tf.function that takes and returns the bijector"):
        function = tf.function(call, autograph=False)
        for parameters in (first, second):
            given = case.fresh(parameters)
            found, returned = function(given, tf.constant(x), tf.constant(y))
            expected = evaluate.values(x, y, parameters)
            what = "{} inside a tf.function that takes the bijector"
            close_outputs(findings, what, found, expected, case.tolerances.same)
            findings.require(
                type(returned) is type(given),
                "type of the bijector that the tf.function returns",
                expected=type(given).__name__,
                found=type(returned).__name__,
            )
            what = "the returned bijector"
            compare(case, what, returned, expected, x, y, findings)
        count = function.experimental_get_tracing_count()
        findings.require(
            count == 1,
            "traces for two bijectors of the same shapes",
            expected=1,
            found=count,
        )
    with findings.attempt("gradients through a tf.function"):
        tensors = case.tensors(first)
        function = tf.function(lambda b, x: b.forward(x), autograph=False)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            image = function(case.build(**tensors), tf.constant(x))
            loss = total({"forward": image})
        expected = evaluate(x, y, first, only="forward")[1]
        for name, gradient in tape.gradient(loss, tensors).items():
            findings.require(
                gradient is not None or not np.any(expected[f"`{name}`"]),
                f"gradient to `{name}` through a tf.function that takes the "
                "bijector",
                expected="a tensor",
                found=gradient,
            )


def check_copy(case: BijectorCase, findings: Findings) -> None:
    """`copy()` is the same map; `copy(parameter=...)` that of the new value."""
    parameters = case.parameters("parameters", (NUM_EXAMPLES,))
    other = case.parameters("other parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    evaluate = Evaluator(case)
    with findings.attempt("copy()"):
        bijector = case.fresh(parameters)
        copied = bijector.copy()
        findings.require(
            type(copied) is type(bijector),
            "type of a copy",
            expected=type(bijector).__name__,
            found=type(copied).__name__,
        )
        expected = evaluate.values(x, y, parameters)
        compare(case, "a copy", copied, expected, x, y, findings)
    if case.bijector_class is None:
        return
    for name in case.shapes:
        with findings.attempt(f"copy({name}=...)"):
            changed = {**parameters, name: other[name]}
            new = tf.constant(other[name])
            copied = case.fresh(parameters).copy(**{name: new})
            expected = evaluate.values(x, y, changed)
            compare(case, f"copy({name}=...)", copied, expected, x, y, findings)


NUM_RANDOM_SLICES = 3

# Indices of a batch of shape [2, 3].
_SLICES: dict[str, tuple[Any, ...]] = {
    "[0]": (0,),
    "[:, 1]": (slice(None), 1),
    "[1:]": (slice(1, None),),
    "[..., :2]": (Ellipsis, slice(None, 2)),
    "[..., tf.newaxis]": (Ellipsis, np.newaxis),
    "[tf.newaxis]": (np.newaxis,),
}


def check_slicing(case: BijectorCase, findings: Findings) -> None:
    """`bijector[index]` maps as the examples at the index did.

    Values and log-dets in turns, for parameters of batch `[2, 3]` at fixed and
    at random indices; then one of them has batch `[1, 3]`, which slicing must
    broadcast.
    """
    full = case.parameters("slices", (2, 3))
    x, y = (case.points(f"slices {p}", (2, 3)) for p in "xy")
    slices = _SLICES | _random_slices(case)
    jobs = [("", full, list(slices))]
    if len(case.shapes) > 1:
        name = next(iter(case.shapes))
        single = full[name][case.batch_index(name, slice(0, 1))]
        note = f", `{name}` of batch [1, 3]"
        jobs.append((note, {**full, name: single}, ["[0]", "[:, 1]", "[1:]"]))
    for note, parameters, texts in jobs:
        with findings.attempt(f"parameters of batch [2, 3]{note}"):
            bijector = case.fresh(parameters)
            expected = values(case, x, y, parameters, SIGNATURE)
            for text, q in zip(texts, itertools.cycle(SIGNATURE)):
                what = f"bijector{text}{note}"
                with findings.attempt(what):
                    _check_slice(
                        case,
                        what,
                        bijector,
                        slices[text],
                        {q: expected[q]},
                        x,
                        y,
                        findings,
                    )


def _random_slices(case: BijectorCase) -> dict[str, tuple[Any, ...]]:
    """Indices of integers, steps forwards and backwards, and new axes."""
    rng = case.rng("random slices")

    def item(size: int) -> int | slice:
        kind = rng.integers(3)
        if kind == 0:
            return int(rng.integers(-size, size))
        start = int(rng.integers(-size, size))
        return slice(start, None, 2 if kind == 1 else -1)

    result = {}
    for _ in range(NUM_RANDOM_SLICES):
        index: list[Any] = [item(2), item(3)][: 1 + rng.integers(2)]
        if rng.integers(2):
            index.insert(int(rng.integers(len(index) + 1)), np.newaxis)
        result[f"[{', '.join(map(str, index))}]"] = tuple(index)
    return result


def _check_slice(
    case: BijectorCase,
    what: str,
    bijector: tfb.Bijector,
    index: tuple[Any, ...],
    expected: Arrays,
    x: np.ndarray,
    y: np.ndarray,
    findings: Findings,
) -> None:
    if (
        case.event_ndims > bijector.forward_min_event_ndims
        and Ellipsis in index
    ):
        # TFP counts an element-wise map's event among the batch.
        return
    sliced = bijector[index]
    batch = list(np.empty((2, 3))[index].shape)
    found = sliced.experimental_batch_shape(x_event_ndims=case.event_ndims)
    findings.require(
        found.rank is not None and found.as_list() == batch,
        f"batch shape of {what}",
        expected=batch,
        found=found,
    )

    def take(value: np.ndarray, num_event_axes: int) -> np.ndarray:
        rest = () if Ellipsis in index else (Ellipsis,)
        return value[(*index, *rest, *(slice(None),) * num_event_axes)]

    n = case.event_ndims
    wanted = {
        q: take(value, n)
        if q == "forward"
        else take(np.broadcast_to(value, (2, 3)), 0)
        for q, value in expected.items()
    }
    compare(
        case,
        what,
        sliced,
        wanted,
        take(x, n),
        take(y, n),
        findings,
        tuple(wanted),
    )
