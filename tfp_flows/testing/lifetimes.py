"""Checks of what a bijector keeps, and how often it reads."""

import collections
import gc
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.testing.case import NUM_EXAMPLES, BijectorCase
from tfp_flows.testing.evaluation import QUANTITIES, outputs
from tfp_flows.testing.report import Findings

__all__ = ["check_memory", "check_variable_reads"]

NUM_CALLS = 2


def check_memory(case: BijectorCase, findings: Findings) -> None:
    """Nothing is kept: no point, no result, no parameter, no bijector.

    What repeated calls took and gave dies while the bijector lives; the
    bijector and its parameters die when they are let go.
    """
    arrays = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = case.points("x")[:2], case.points("y")[:2]
    with findings.attempt("lifetimes"):
        parameters = case.tensors(arrays)
        bijector = case.build(**parameters)
        of_calls = {
            f"call {i}": _call(bijector, x, y, case.event_ndims)
            for i in range(NUM_CALLS)
        }
        _require_dead(of_calls, "points and results", findings)
        kept = {"the bijector": [weakref.ref(bijector)]}
        for name, tensor in parameters.items():
            kept[f"`{name}`"] = [weakref.ref(tensor)]
        del bijector, parameters, tensor
        _require_dead(kept, "the bijector and its parameters", findings)


def _call(bijector: Any, x: Any, y: Any, event_ndims: int) -> list[weakref.ref]:
    points = tf.constant(x), tf.constant(y)
    found = outputs(bijector, *points, event_ndims)
    return [weakref.ref(t) for t in (*points, *found.values())]


def _require_dead(
    references: dict[str, list[weakref.ref]], what: str, findings: Findings
) -> None:
    def alive() -> list[str]:
        return [
            name
            for name, group in references.items()
            if any(reference() is not None for reference in group)
        ]

    if alive():  # What is left in cycles is no leak; collecting takes a while.
        gc.collect()
    findings.require(
        not alive(),
        f"what is left of {what}",
        expected="nothing",
        found=f"something of {', '.join(alive())}",
    )


def check_variable_reads(case: BijectorCase, findings: Findings) -> None:
    """`forward` and `inverse` read each variable once, a log-det twice.

    TFP's base class may pass in both directions for a log-det. Reads after
    one another may see different values, and take their time.
    """
    arrays = case.parameters("parameters", (NUM_EXAMPLES,))
    x, y = (tf.constant(case.points(p)[0]) for p in "xy")
    counts: collections.Counter[str] = collections.Counter()

    def counted(name: str) -> Callable[[tf.Tensor], tf.Tensor]:
        def read(value: tf.Tensor) -> tf.Tensor:
            counts[name] += 1
            return tf.identity(value)

        return read

    with findings.attempt("reads of variables"):
        bijector = case.build(
            **{
                name: tfp.util.DeferredTensor(
                    tf.Variable(value), counted(name), shape=value.shape
                )
                for name, value in case.tensors(arrays).items()
            }
        )
        for q in QUANTITIES:
            allowed = 1 if q in ("forward", "inverse") else 2
            counts.clear()
            outputs(bijector, x, y, case.event_ndims, (q,))
            for name in case.shapes:
                findings.require(
                    counts[name] <= allowed,
                    f"reads of `{name}` by {q}",
                    expected=f"at most {allowed}",
                    found=counts[name],
                )
