"""Checks of parameters that are variables: tracked, followed, or refused."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.testing.case import NUM_EXAMPLES, BijectorCase, Tensors
from tfp_flows.testing.evaluation import (
    SIGNATURE,
    Evaluator,
    close_outputs,
    outputs,
    total,
    weights_of,
)
from tfp_flows.testing.report import Findings

__all__ = [
    "check_cached_variables",
    "check_keras_variables",
    "check_make_trainable",
    "check_parameter_properties",
    "check_variables",
]

tfb = tfp.bijectors


def check_variables(case: BijectorCase, findings: Findings) -> None:
    """Variables are tracked, get gradients, and are read at every use."""
    for kind, make in (
        ("tf.Variable", tf.Variable),
        ("TransformedVariable", _transformed_variable),
    ):
        with findings.attempt(kind):
            _check_holders(case, kind, make, findings)


def _transformed_variable(value: tf.Tensor) -> tfp.util.TransformedVariable:
    # A transformation that a frozen value would not follow.
    return tfp.util.TransformedVariable(
        value, tfb.Scale(tf.constant(2.0, value.dtype))
    )


def _check_holders(
    case: BijectorCase,
    kind: str,
    make: Callable[[tf.Tensor], Any],
    findings: Findings,
) -> None:
    old = case.parameters("parameters", (NUM_EXAMPLES,))
    new = case.parameters("other parameters", (NUM_EXAMPLES,))
    x, y = case.points("x"), case.points("y")
    holders = {name: make(value) for name, value in case.tensors(old).items()}
    bijector = case.build(**holders)
    variables = {
        name: h if isinstance(h, tf.Variable) else h.trainable_variables[0]
        for name, h in holders.items()
    }
    tracked = {id(v) for v in bijector.trainable_variables}
    for name, variable in variables.items():
        findings.require(
            id(variable) in tracked,
            f"trainable_variables, `{name}` a {kind}",
            expected=f"the variable of `{name}` among them",
            found=f"{len(tracked)} variables, that one not among them",
        )

    def call(x: tf.Tensor, y: tf.Tensor) -> Tensors:
        return outputs(bijector, x, y, case.event_ndims, SIGNATURE)

    # Weighted, as what moves forward and inverse by opposite amounts cancels.
    weights = weights_of(case, x.shape[:2])
    with tf.GradientTape() as tape:
        found = call(tf.constant(x), tf.constant(y))
        loss = total({q: weights[q] * value for q, value in found.items()})
    for name, gradient in tape.gradient(loss, variables).items():
        findings.require(
            gradient is not None and bool(np.any(gradient)),
            f"gradient to the variable of `{name}`, {kind}",
            expected="not None, not zero",
            found="None or zero",
        )

    calls = {"eager": call}
    if kind == "tf.Variable":
        # One trace from before the assignment, as a training loop has.
        calls["tf.function"] = tf.function(call, autograph=False)
    evaluate = Evaluator(case)
    for stage, parameters in (("at first", old), ("after an assignment", new)):
        for name, holder in holders.items():
            holder.assign(parameters[name])
        expected = evaluate.values(x, y, parameters)
        for how, function in calls.items():
            close_outputs(
                findings,
                f"{{}} of a {kind} {stage}, {how}",
                function(tf.constant(x), tf.constant(y)),
                expected,
                case.tolerances.same,
            )


def check_cached_variables(case: BijectorCase, findings: Findings) -> None:
    """No stale value from a cache after an assignment, and no lost gradient.

    TFP keys its cache by the bijector and the argument: a variable that was
    assigned since is the same variable, and a result from before a gradient
    tape has no gradient. Here every tensor is kept alive and handed in again.
    """
    findings.hint = (
        "TFP's own cache does this to bijectors that hold variables; "
        "tfp_flows.bijectors.FlowBijector has a cache that does not."
    )
    old = case.parameters("parameters", (NUM_EXAMPLES,))
    new = case.parameters("other parameters", (NUM_EXAMPLES,))
    x, y = tf.constant(case.points("x")), tf.constant(case.points("y"))
    n = case.event_ndims
    evaluate = Evaluator(case)
    with findings.attempt("cached results after an assignment"):
        holders = {k: tf.Variable(v) for k, v in case.tensors(old).items()}
        bijector = case.build(**holders)
        before = outputs(bijector, x, y, n)
        with tf.GradientTape() as tape:
            loss = total(outputs(bijector, x, y, n, SIGNATURE))
        for name, gradient in tape.gradient(loss, holders).items():
            findings.require(
                gradient is not None,
                f"gradient to `{name}` in a tape begun after the same call",
                expected="a tensor",
                found=gradient,
            )
        for name, holder in holders.items():
            holder.assign(new[name])
        # At the same points, and at what the other direction returned.
        for what, points in (
            ("", (x, y)),
            (" of the other's result", (before["inverse"], before["forward"])),
        ):
            at_x, at_y = points
            close_outputs(
                findings,
                f"{{}}{what}, cached before an assignment",
                outputs(bijector, at_x, at_y, n),
                evaluate.values(at_x.numpy(), at_y.numpy(), new),
                case.tolerances.same,
            )


def check_make_trainable(case: BijectorCase, findings: Findings) -> None:
    """`tfp.experimental.util.make_trainable` builds it from its properties."""
    if case.bijector_class is None:
        findings.not_applicable = "`build` is a function, not a class"
        return
    if case.parameter_shapes is not None:
        findings.not_applicable = "`parameter_shapes` is given"
        return
    fixed = getattr(case.build, "keywords", {})
    with findings.attempt("make_trainable"):
        bijector = tfp.experimental.util.make_trainable(
            case.bijector_class,
            batch_and_event_shape=[2, *case.event_shape],
            seed=(case.seed, 3),
            **fixed,
        )
        shape = bijector.experimental_batch_shape(
            x_event_ndims=case.event_ndims
        )
        findings.require(
            shape.rank is not None and shape.as_list() == [2],
            "batch shape of make_trainable(batch_and_event_shape=[2] + event)",
            expected=[2],
            found=shape,
        )
        findings.require(
            len(bijector.trainable_variables) == len(case.shapes),
            "number of trainable variables",
            expected=len(case.shapes),
            found=len(bijector.trainable_variables),
        )
        x = tf.constant(case.points("x", (4, 2)), tf.float32)
        with tf.GradientTape(persistent=True) as tape:
            found = outputs(bijector, x, tf.identity(x), case.event_ndims)
            loss = total(found)
        for q, value in found.items():
            findings.finite(f"{q} of a trainable bijector", value.numpy())
        for variable in bijector.trainable_variables:
            findings.require(
                tape.gradient(loss, variable) is not None,
                f"gradient to the trainable variable {variable.name}",
                expected="a tensor",
                found=None,
            )


def check_parameter_properties(case: BijectorCase, findings: Findings) -> None:
    """`shape_fn` takes `sample_shape` by keyword, as a shape and as a list."""
    if case.bijector_class is None:
        findings.not_applicable = "`build` is a function, not a class"
        return
    properties = case.bijector_class.parameter_properties(dtype=tf.float32)
    sample_shape = tf.TensorShape([5, *case.event_shape])
    for name, p in properties.items():
        if not (p.is_tensor and p.is_preferred):
            continue
        with findings.attempt(f"shape_fn(sample_shape=...) of `{name}`"):
            try:
                expected = list(p.shape_fn(sample_shape))
            except NotImplementedError:
                continue
            for kind in (tf.TensorShape, list):
                given = kind(sample_shape.as_list())
                findings.require(
                    list(p.shape_fn(sample_shape=given)) == expected,
                    f"shape_fn of `{name}` of a {kind.__name__} by keyword",
                    expected=expected,
                    found=p.shape_fn(sample_shape=given),
                )


def check_keras_variables(case: BijectorCase, findings: Findings) -> None:
    """A `keras.Variable` is refused, for each parameter, by its name.

    TFP converts it to a tensor once and never sees it change.
    """
    try:
        import keras
    except ImportError as error:
        findings.not_applicable = f"Keras cannot be imported ({error})"
        return
    if not hasattr(keras, "Variable"):
        findings.not_applicable = "Keras 2 has no keras.Variable"
        return
    parameters = case.parameters("parameters", ())
    for name in case.shapes:
        given = dict(case.tensors(parameters, "float32"))
        given[name] = keras.Variable(given[name].numpy(), name=f"keras_{name}")
        try:
            case.build(**given)
        except (TypeError, ValueError) as error:
            findings.require(
                re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error))
                is not None,
                f"error for a keras.Variable as `{name}`",
                expected=f"an error that names `{name}`",
                found=error,
            )
        except Exception as error:
            findings.require(
                False,
                f"error for a keras.Variable as `{name}`",
                expected="TypeError or ValueError",
                found=f"{type(error).__name__}: {error}",
            )
        else:
            findings.require(
                False,
                f"a keras.Variable as `{name}`",
                expected="TypeError or ValueError at construction",
                found="a bijector, which holds the value of this moment",
            )
