"""Checks of shapes: values under broadcasting, and the declared batch shape."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.testing import evaluation
from tfp_flows.testing.case import Arrays, BijectorCase, ParameterShape
from tfp_flows.testing.report import Findings

__all__ = ["check_batch_shape", "check_shapes"]

Batch = tuple[int, ...]

S, B = 2, 3

# Batch shapes of the parameters against those of the points.
PAIRS: tuple[tuple[Batch, Batch], ...] = (
    ((), ()),
    ((), (B,)),
    ((), (S, B)),
    ((B,), ()),
    ((B,), (B,)),
    ((B,), (S, B)),
    ((S, B), ()),
    ((S, B), (B,)),
    ((S, B), (S, B)),
    ((S, 1), (1, B)),
    ((1, B), (S, 1)),
)


class _Job(NamedTuple):
    """One pair of batch shapes."""

    what: str
    parameters: Arrays
    x: np.ndarray
    y: np.ndarray
    batch_shape: Batch

    @property
    def size(self) -> int:
        """Number of examples."""
        return math.prod(self.batch_shape)


def check_shapes(case: BijectorCase, findings: Findings) -> None:
    """Every pair of batch shapes broadcasts, and to the right values.

    A value one way and a log-det the other way with each pair, in turns. The
    reference is one evaluation of all examples in a flat batch, itself compared
    with that of a single example.
    """
    parameters = case.parameters("shapes", (S, B))
    x, y = (case.points(f"shapes {p}", (S, B)) for p in "xy")
    jobs = _jobs(case, parameters, x, y)
    flat = None
    with findings.attempt("all examples in one flat batch"):
        flat = _evaluate_flat(case, jobs, findings)
    if flat is not None:
        start = 0
        turns = itertools.cycle((evaluation.SIGNATURE, ("inverse", "fldj")))
        for job, quantities in zip(jobs, turns, strict=False):
            expected = {
                q: value[start : start + job.size].reshape(
                    job.batch_shape + value.shape[1:]
                )
                for q, value in flat.items()
            }
            start += job.size
            with findings.attempt(job.what):
                _compare(case, job, expected, quantities, findings)
    with findings.attempt("log-det with one more event dimension"):
        _check_extra_event_dimension(case, x, y, parameters, findings)


def _jobs(
    case: BijectorCase, parameters: Arrays, x: np.ndarray, y: np.ndarray
) -> list[_Job]:
    plan: list[tuple[str, Batch, Batch, str | None]] = [
        (f"parameters {list(p)}, points {list(q)}", p, q, None)
        for p, q in PAIRS
    ]
    plan += [
        (f"`{name}` alone batched, points [{B}]", (B,), (B,), name)
        for name in (case.shapes if len(case.shapes) > 1 else ())
    ]
    return [
        _Job(
            what,
            _sub_batch(case, parameters, parameter_batch, alone),
            x[_index(point_batch)],
            y[_index(point_batch)],
            np.broadcast_shapes(parameter_batch, point_batch),
        )
        for what, parameter_batch, point_batch, alone in plan
    ]


def _sub_batch(
    case: BijectorCase,
    parameters: Arrays,
    batch_shape: Batch,
    alone: str | None,
) -> Arrays:
    """Parameters of a smaller batch; only one of them batched if `alone`."""
    result = case.take(parameters, *_index(batch_shape))
    for name, spec in case.shapes.items():
        if alone not in (None, name):
            # With axes in front, a missing batch axis would misalign them.
            index = (0, slice(0, 1)) if spec.leading else (0, 0)
            result[name] = parameters[name][case.batch_index(name, *index)]
    return result


def _index(batch_shape: Batch) -> tuple[int | slice, ...]:
    """Index of `[S, B]` that leaves `batch_shape`."""
    kept = tuple(slice(0, n) for n in batch_shape)
    return (0,) * (2 - len(batch_shape)) + kept


def _evaluate_flat(
    case: BijectorCase, jobs: Sequence[_Job], findings: Findings
) -> Arrays:
    """Reference values of all examples of all jobs, `[N, ...]`."""
    event = tuple(case.event_shape)

    def flatten(points: np.ndarray, job: _Job) -> np.ndarray:
        full = np.broadcast_to(points, job.batch_shape + event)
        return full.reshape((job.size, *event))

    x = np.concatenate([flatten(job.x, job) for job in jobs])
    y = np.concatenate([flatten(job.y, job) for job in jobs])
    parameters = {
        name: np.concatenate(
            [_flat_parameter(spec, job.parameters[name], job) for job in jobs],
            axis=len(spec.leading),
        )
        for name, spec in case.shapes.items()
    }
    flat = evaluation.values(case, x, y, parameters)
    for q in ("fldj", "ildj"):
        flat[q] = np.broadcast_to(flat[q], (len(x),))
    # The last example by itself, unbatched.
    single = evaluation.values(case, x[-1], y[-1], case.take(parameters, -1))
    for q, value in single.items():
        findings.close(
            f"{q} of a flat batch against one example",
            flat[q][-1],
            value,
            case.tolerances.same,
        )
    return flat


def _flat_parameter(
    spec: ParameterShape, value: np.ndarray, job: _Job
) -> np.ndarray:
    """`leading + [N] + event` from a parameter of any smaller batch."""
    full_shape = spec.shape(job.batch_shape)
    missing = (1,) * (len(full_shape) - value.ndim)
    split = len(spec.leading)
    value = value.reshape(value.shape[:split] + missing + value.shape[split:])
    full = np.broadcast_to(value, full_shape)
    return full.reshape(spec.shape((job.size,)))


def _compare(
    case: BijectorCase,
    job: _Job,
    expected: Arrays,
    quantities: Sequence[str],
    findings: Findings,
) -> None:
    bijector = case.fresh(job.parameters)
    found = evaluation.outputs(
        bijector,
        tf.constant(job.x),
        tf.constant(job.y),
        case.event_ndims,
        quantities,
    )
    for q, value in found.items():
        findings.close(
            f"{q}, {job.what}",
            value.numpy(),
            expected[q],
            case.tolerances.same,
            # TFP lets a constant Jacobian leave out the points' batch.
            broadcast=bijector.is_constant_jacobian and q in ("fldj", "ildj"),
        )


def _check_extra_event_dimension(
    case: BijectorCase,
    x: np.ndarray,
    y: np.ndarray,
    parameters: Arrays,
    findings: Findings,
) -> None:
    """A batch axis counted as part of the event is summed over."""
    bijector = case.fresh(case.take(parameters, 0, 0))
    n = case.event_ndims
    for direction, points in (("forward", x), ("inverse", y)):
        log_det = getattr(bijector, f"{direction}_log_det_jacobian")
        each = log_det(tf.constant(points), event_ndims=n)
        together = log_det(tf.constant(points), event_ndims=n + 1)
        findings.close(
            f"{direction} log-det, event_ndims={n + 1}",
            np.broadcast_to(together, (S,)),
            np.broadcast_to(each, (S, B)).sum(-1),
            case.tolerances.same,
        )


def check_batch_shape(case: BijectorCase, findings: Findings) -> None:
    """`experimental_batch_shape` is the shape that the map really has."""
    parameters = case.parameters("batch shape", (S, B))
    jobs: list[tuple[str, Batch, str | None]] = [
        (f"parameters {list(batch)}", batch, None)
        for batch in ((), (B,), (S, B), (S, 1))
    ]
    if len(case.shapes) > 1:
        jobs += [
            (f"`{name}` alone batched", (B,), name) for name in case.shapes
        ]
    x = tf.constant(case.points("batch shape", ()))
    for what, batch, alone in jobs:
        with findings.attempt(f"batch shape, {what}"):
            given = _sub_batch(case, parameters, batch, alone)
            bijector = case.fresh(given)
            n = case.event_ndims
            real = tuple(bijector.forward(x).shape)
            real = real[: len(real) - n]
            findings.require(
                real == batch,
                f"batch shape of forward(x) for x of batch [], {what}",
                expected=list(batch),
                found=list(real),
            )
            static = bijector.experimental_batch_shape(x_event_ndims=n)
            findings.require(
                static.rank is not None and static.as_list() == list(batch),
                f"experimental_batch_shape, {what}",
                expected=list(batch),
                found=static,
            )
            dynamic = bijector.experimental_batch_shape_tensor(x_event_ndims=n)
            findings.require(
                list(np.asarray(dynamic)) == list(batch),
                f"experimental_batch_shape_tensor, {what}",
                expected=list(batch),
                found=list(np.asarray(dynamic)),
            )
