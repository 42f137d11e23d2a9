"""Checks where TensorFlow rewrites the graph: mapped, in loops, in branches."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.testing.case import NUM_EXAMPLES, Arrays, BijectorCase, Tensors
from tfp_flows.testing.evaluation import (
    AT_X,
    AT_Y,
    QUANTITIES,
    Evaluator,
    arrays,
    base_distribution,
    close_gradients,
    outputs,
    total,
    weights_of,
)
from tfp_flows.testing.report import Findings

__all__ = ["check_control_flow", "check_vectorized_map"]

tfd = tfp.distributions

# Takes the mapped axis in front of every argument; stacks what comes back.
Loop = Callable[[Callable[[Any], Any], Any], Any]

_AUTO_BATCHED = "an auto-batched joint distribution"


class _Arguments(NamedTuple):
    """What the quantities are computed from."""

    x: Any
    y: Any
    parameters: Any
    weights: Any


class _Program(NamedTuple):
    """A loop over one axis of the arguments; `over` None: no axis.

    `tape` is "inside" the loop's body, "around" the loop, or "outside" the
    `tf.function` that holds it; "compiled": around it, and under XLA.
    """

    what: str
    loop: Loop
    over: str | None
    tape: str = "around"
    quantities: Sequence[str] = QUANTITIES
    thorough: bool = True


def _map_fn(function: Callable[[Any], Any], arguments: Any) -> Any:
    return tf.map_fn(
        function,
        arguments,
        fn_output_signature=dict.fromkeys(QUANTITIES, tf.float64),
    )


def _zeros() -> Tensors:
    return {q: tf.constant(0.0, tf.float64) for q in QUANTITIES}


def _while_loop(function: Callable[[Any], Any], arguments: Any) -> Any:
    """The sums, half of them accumulated in each step of the loop."""

    def body(i: tf.Tensor, sums: Tensors) -> tuple[tf.Tensor, Tensors]:
        found = function(arguments)
        return i + 1, {q: sums[q] + 0.5 * found[q] for q in sums}

    return tf.while_loop(
        lambda i, _: i < 2, body, (0, _zeros()), maximum_iterations=2
    )[1]


def _cond(function: Callable[[Any], Any], arguments: Any) -> Any:
    is_finite = tf.reduce_sum(tf.nest.flatten(arguments)[0]) < 1e30
    return tf.cond(is_finite, lambda: function(arguments), _zeros)


def _branch_in_loop(function: Callable[[Any], Any], arguments: Any) -> Any:
    return _while_loop(lambda given: _cond(function, given), arguments)


_VECTORIZED = (
    _Program(
        "over points and parameters",
        tf.vectorized_map,
        "examples",
        thorough=False,
    ),
    _Program("over points", tf.vectorized_map, "points"),
    _Program(
        "over points, the tape outside the tf.function",
        tf.vectorized_map,
        "points",
        "outside",
    ),
    _Program("over parameters", tf.vectorized_map, "parameters"),
    _Program(
        "over points and parameters, the tape inside",
        tf.vectorized_map,
        "examples",
        "inside",
    ),
    _Program(
        "over points and parameters, under XLA",
        tf.vectorized_map,
        "examples",
        "compiled",
    ),
)
_CONTROL_FLOW = (
    _Program("tf.cond of the inverse", _cond, None, "around", AT_Y, False),
    _Program(
        "tf.while_loop of forward",
        _while_loop,
        None,
        "around",
        AT_X,
        False,
    ),
    _Program("tf.map_fn over points", _map_fn, "points"),
    _Program("tf.map_fn over points and parameters", _map_fn, "examples"),
    _Program("tf.while_loop", _while_loop, None),
    _Program(
        "tf.cond, the tape outside the tf.function", _cond, None, "outside"
    ),
    _Program(
        "tf.cond in tf.while_loop, under XLA", _branch_in_loop, None, "compiled"
    ),
)


def check_vectorized_map(case: BijectorCase, findings: Findings) -> None:
    """`tf.vectorized_map` gives the values and gradients of the direct call.

    Over points and parameters, the tape around the map. A thorough case also
    maps over either of them, with the tape inside the map and outside the
    `tf.function`, also under XLA, and is the one variable of an auto-batched
    joint distribution.
    """
    _check_programs(case, _VECTORIZED, "tf.vectorized_map {}", findings)
    if case.thorough:
        with findings.attempt(_AUTO_BATCHED):
            _check_auto_batched(case, findings)


def check_control_flow(case: BijectorCase, findings: Findings) -> None:
    """Gradients through `tf.while_loop` and `tf.cond` are right.

    Of the inverse and its log-det in a branch, of forward and its log-det in a
    loop, the tape around them in a `tf.function`. A thorough case takes all of
    them through `tf.map_fn`, loop and branch, also with the tape outside, and
    under XLA.
    """
    _check_programs(case, _CONTROL_FLOW, "{}", findings)


def _check_programs(
    case: BijectorCase,
    programs: tuple[_Program, ...],
    title: str,
    findings: Findings,
) -> None:
    given = _Arguments(
        case.points("x"),
        case.points("y"),
        case.parameters("parameters", (NUM_EXAMPLES,)),
        weights_of(case, case.points("x").shape[:2]),
    )
    for program in programs:
        if case.thorough or not program.thorough:
            what = title.format(program.what)
            with findings.attempt(what):
                _check_program(case, program, what, given, findings)


def _check_program(
    case: BijectorCase,
    program: _Program,
    what: str,
    given: _Arguments,
    findings: Findings,
) -> None:
    weights = {
        q: value * float(q in program.quantities)
        for q, value in given.weights.items()
    }
    x, y = given.x, given.y
    if program.over == "parameters":
        x, y = (np.repeat(p[:, :1], NUM_EXAMPLES, axis=1) for p in (x, y))
    values, gradients = Evaluator(case)(x, y, given.parameters, weights=weights)
    if program.over == "parameters":
        for name in "xy":
            gradients[name][:, 0] = gradients[name].sum(1)
            gradients[name][:, 1:] = 0.0
    losses, found = _run(case, program, given._replace(weights=weights))
    for q in program.quantities:
        weight = weights[q]
        terms = weight * np.broadcast_to(values[q], weight.shape)
        findings.close(
            f"sum of weighted {q}, {what}",
            losses[q],
            terms.sum(),
            case.tolerances.same,
            scale=1.0 + np.abs(terms).sum(),
        )
    close_gradients(
        findings,
        f"gradient to {{}}, {what}",
        found,
        gradients,
        case.tolerances.same,
    )


def _run(
    case: BijectorCase, program: _Program, given: _Arguments
) -> tuple[Arrays, Arrays]:
    """Sums of the weighted quantities, and the gradients of their total."""
    axes = _axes(case, program.over)

    def losses(arguments: _Arguments) -> Tensors:
        x, y, parameters, weights = arguments
        bijector = case.build(**parameters)
        found = outputs(bijector, x, y, case.event_ndims, program.quantities)
        sums = {q: tf.reduce_sum(weights[q] * v) for q, v in found.items()}
        return _zeros() | sums

    def with_gradients(
        function: Callable[[_Arguments], Tensors], arguments: _Arguments
    ) -> tuple[Tensors, Tensors]:
        x, y, parameters, _ = arguments
        with tf.GradientTape() as tape:
            tape.watch((x, y, parameters))
            found = function(arguments)
            loss = total(found)
        sources = {f"`{name}`": p for name, p in parameters.items()}
        gradients = tape.gradient(
            loss,
            {"x": x, "y": y, **sources},
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return found, gradients

    def looped(body: Callable[[_Arguments], Any], arguments: _Arguments) -> Any:
        if program.over is None:
            return program.loop(body, arguments)
        if program.over == "parameters":
            # The same points for all the parameters, captured by the map.
            arguments = arguments._replace(
                x=arguments.x[:, 0], y=arguments.y[:, 0]
            )
        flat, flat_axes = tf.nest.flatten(arguments), tf.nest.flatten(axes)
        mapped = [
            tf.experimental.numpy.moveaxis(value, axis, 0)
            for value, axis in zip(flat, flat_axes, strict=True)
            if axis >= 0
        ]

        def of_mapped(items: list[tf.Tensor]) -> Any:
            rest = iter(items)
            values = [
                next(rest) if axis >= 0 else value
                for value, axis in zip(flat, flat_axes, strict=True)
            ]
            return body(tf.nest.pack_sequence_as(arguments, values))

        return program.loop(of_mapped, mapped)

    def summed(arguments: _Arguments) -> Tensors:
        return tf.nest.map_structure(tf.reduce_sum, looped(losses, arguments))

    def gradient_inside(arguments: _Arguments) -> tuple[Tensors, Tensors]:
        sums, stacked = looped(lambda a: with_gradients(losses, a), arguments)
        places = {"x": axes.x, "y": axes.y}
        places |= {f"`{name}`": a for name, a in axes.parameters.items()}
        gradients = {
            name: tf.experimental.numpy.moveaxis(value, 0, places[name])
            for name, value in stacked.items()
        }
        return tf.nest.map_structure(tf.reduce_sum, sums), gradients

    arguments = _Arguments(
        tf.constant(given.x),
        tf.constant(given.y),
        case.tensors(given.parameters),
        case.tensors(given.weights),
    )
    if program.tape == "outside":
        function = tf.function(summed, autograph=False)
        found, gradients = with_gradients(function, arguments)
    elif program.tape == "inside":
        function = tf.function(gradient_inside, autograph=False)
        found, gradients = function(arguments)
    else:
        function = tf.function(
            lambda a: with_gradients(summed, a),
            jit_compile=program.tape == "compiled" or None,
            autograph=False,
        )
        found, gradients = function(arguments)
    return arrays(found), arrays(gradients)


def _axes(case: BijectorCase, over: str | None) -> _Arguments:
    """The axis of each argument that a loop runs over; -1: captured whole."""
    points = {"points": 0, "examples": 1}.get(over or "", -1)
    weights = 0 if over == "points" else 1
    batched = over in ("examples", "parameters")
    return _Arguments(
        points,
        points,
        {
            name: len(spec.leading) if batched else -1
            for name, spec in case.shapes.items()
        },
        dict.fromkeys(QUANTITIES, weights if over else -1),
    )


def _check_auto_batched(case: BijectorCase, findings: Findings) -> None:
    """Log-prob and gradients of a model of one variable, one map for all."""
    x, y = case.points("x"), case.points("y")
    one = case.take(case.parameters("parameters", (NUM_EXAMPLES,)), slice(0, 1))
    every = {
        name: np.repeat(value, NUM_EXAMPLES, len(case.shapes[name].leading))
        for name, value in one.items()
    }
    parameters = case.tensors(case.take(one, 0))
    points = tf.constant(y.reshape(-1, *case.event_shape))
    with tf.GradientTape() as tape:
        tape.watch((points, parameters))
        q = tfd.TransformedDistribution(
            base_distribution(case, tf.float64), case.build(**parameters)
        )
        model = tfd.JointDistributionSequentialAutoBatched([q])
        log_prob = model.log_prob([points])
    found = tape.gradient(
        log_prob,
        {"y": points, **{f"`{n}`": p for n, p in parameters.items()}},
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    # d log q = <-x, dx> + d ildj for a standard normal base.
    evaluate = Evaluator(case)
    values = evaluate.values(x, y, every)
    noise = values["inverse"]
    weights = {q: np.zeros_like(values[q]) for q in QUANTITIES}
    weights |= {"inverse": -noise, "ildj": np.ones_like(values["ildj"])}
    gradients = evaluate(x, y, every, weights=weights)[1]
    axes = tuple(range(2, noise.ndim))
    normal = -0.5 * (noise**2 + np.log(2.0 * np.pi)).sum(axes)
    findings.close(
        f"log_prob of {_AUTO_BATCHED}",
        log_prob.numpy(),
        np.ravel(normal + values["ildj"]),
        case.tolerances.same,
        scale=1.0 + np.ravel(np.abs(normal) + np.abs(values["ildj"])),
    )
    expected = {"y": gradients["y"].reshape(points.shape)}
    for name, spec in case.shapes.items():
        expected[f"`{name}`"] = gradients[f"`{name}`"].sum(len(spec.leading))
    close_gradients(
        findings,
        f"gradient of log_prob of {_AUTO_BATCHED} to {{}}",
        arrays(found),
        expected,
        case.tolerances.same,
    )
