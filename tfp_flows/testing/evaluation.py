"""Everything a bijector computes at given points, traced once for a case."""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.testing.case import Arrays, BijectorCase, Tensors
from tfp_flows.testing.report import Describe, Findings

__all__ = [
    "AT_X",
    "AT_Y",
    "QUANTITIES",
    "SIGNATURE",
    "Evaluator",
    "arrays",
    "base_distribution",
    "close_gradients",
    "close_outputs",
    "jacobians",
    "outputs",
    "second_derivatives",
    "total",
    "values",
    "values_and_gradients",
    "weights_of",
]

tfb = tfp.bijectors
tfd = tfp.distributions

QUANTITIES = ("forward", "inverse", "fldj", "ildj")
# Those that take x, and those that take y.
AT_X = ("forward", "fldj")
AT_Y = ("inverse", "ildj")
# Enough to recognise a map: its value one way, its log-det the other way.
SIGNATURE = ("forward", "ildj")

# One dict of traced functions per living case.
_TRACED: weakref.WeakKeyDictionary[BijectorCase, dict[Any, Callable]] = (
    weakref.WeakKeyDictionary()
)


def outputs(
    bijector: tfb.Bijector,
    x: tf.Tensor,
    y: tf.Tensor,
    event_ndims: int,
    quantities: Sequence[str] = QUANTITIES,
) -> Tensors:
    """The quantities: forward and fldj at `x`, inverse and ildj at `y`."""
    functions = {
        "forward": lambda: bijector.forward(x),
        "inverse": lambda: bijector.inverse(y),
        "fldj": lambda: bijector.forward_log_det_jacobian(
            x, event_ndims=event_ndims
        ),
        "ildj": lambda: bijector.inverse_log_det_jacobian(
            y, event_ndims=event_ndims
        ),
    }
    return {q: functions[q]() for q in quantities}


def close_outputs(
    findings: Findings,
    what: str,
    found: Tensors,
    expected: Arrays,
    tolerance: float,
    where: dict[str, Describe] | None = None,
) -> None:
    """Compares quantities; `what` holds `{}` for the quantity's name.

    A log-det may leave out batch axes, which TFP lets a constant Jacobian do.
    """
    for q, value in found.items():
        findings.close(
            what.format(q),
            value.numpy(),
            expected[q],
            tolerance,
            where=where[q] if where else None,
            broadcast=q in ("fldj", "ildj"),
        )


def close_gradients(
    findings: Findings,
    what: str,
    found: Arrays,
    expected: Arrays,
    tolerance: float,
) -> None:
    """Compares gradients, each relative to its largest entry.

    `what` holds `{}` for the name of what the gradient is to.
    """
    for target, gradient in expected.items():
        findings.close(
            what.format(target),
            found[target],
            gradient,
            tolerance,
            scale=1.0 + np.max(np.abs(gradient), initial=0.0),
        )


def base_distribution(case: BijectorCase, dtype: tf.DType) -> tfd.Distribution:
    """Normal over one event, of `case.base_scale`."""
    scale = tf.constant(case.base_scale, dtype)
    zeros = tf.zeros_like(scale)
    if case.event_ndims == 1:
        return tfd.MultivariateNormalDiag(zeros, scale)
    return tfd.Independent(
        tfd.Normal(zeros, scale),
        reinterpreted_batch_ndims=case.event_ndims,
    )


def total(found: Tensors) -> tf.Tensor:
    """The sum of everything, to take a gradient of."""
    return tf.add_n([tf.reduce_sum(value) for value in found.values()])


def values_and_gradients(
    case: BijectorCase,
    x: tf.Tensor,
    y: tf.Tensor,
    parameters: Tensors,
    weights: Tensors,
) -> tuple[Tensors, Tensors]:
    """The four quantities, and the gradients of the sum of <weight, quantity>.

    One backward pass: weights that are zero but for one quantity give the
    gradients of that one. A gradient that the bijector does not connect comes
    back as zero. The gradients to the points are under "x" and "y", the
    others under "`name`".
    """
    with tf.GradientTape() as tape:
        tape.watch((x, y, parameters))
        bijector = case.build(**parameters)
        found = outputs(bijector, x, y, case.event_ndims)
        weighted = total({q: weights[q] * found[q] for q in QUANTITIES})
    sources = {f"`{name}`": p for name, p in parameters.items()}
    gradients = tape.gradient(
        weighted,
        {"x": x, "y": y, **sources},
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return found, gradients


def weights_of(case: BijectorCase, batch_shape: Sequence[int]) -> Arrays:
    """Random weights of the four quantities, exact in float32."""
    rng = case.rng("weights")
    weights = {}
    for q in QUANTITIES:
        event = case.event_shape if q in ("forward", "inverse") else ()
        value = rng.standard_normal((*batch_shape, *event))
        weights[q] = value.astype(np.float32).astype(np.float64)
    return weights


class Evaluator:
    """Evaluates fresh bijectors of a case in one dtype and one mode.

    Args:
      case: gives the bijector.
      dtype: "float32" or "float64".
      mode: "eager", "graph" or "xla".
      fall_back: whether a bijector that cannot be traced is evaluated eagerly
        instead; the check `modes` reports that it cannot.
    """

    def __init__(
        self,
        case: BijectorCase,
        dtype: str = "float64",
        mode: str = "graph",
        fall_back: bool = True,
    ) -> None:
        self._case, self._dtype = case, dtype
        self._function = _function(case, "evaluate", dtype, mode, fall_back)

    def __call__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        parameters: Arrays,
        only: str | None = None,
        weights: Arrays | None = None,
    ) -> tuple[Arrays, Arrays]:
        """Values and gradients, see `values_and_gradients`.

        Args:
          x: points of forward and fldj, `[N, B] + event_shape`.
          y: points of inverse and ildj, alike.
          parameters: of batch shape `[B]`.
          only: the one quantity whose gradients are meant; default the sum of
            all four.
          weights: of the quantities in that sum; default `weights_of`.
        """
        case, dtype = self._case, self._dtype
        batch_shape = x.shape[: x.ndim - case.event_ndims]
        weights = dict(weights or weights_of(case, batch_shape))
        for q in QUANTITIES:
            weights[q] = weights[q] * float(only in (None, q))
        found, gradients = self._function(
            tf.constant(x, dtype),
            tf.constant(y, dtype),
            case.tensors(parameters, dtype),
            {q: tf.constant(w, dtype) for q, w in weights.items()},
        )
        values = arrays(found)
        for q in ("fldj", "ildj"):
            # TFP lets a constant Jacobian leave out the points' batch.
            values[q] = np.broadcast_to(values[q], batch_shape)
        return values, arrays(gradients)

    def values(
        self, x: np.ndarray, y: np.ndarray, parameters: Arrays
    ) -> Arrays:
        """The four quantities."""
        return self(x, y, parameters)[0]

    def gradients(
        self, x: np.ndarray, y: np.ndarray, parameters: Arrays
    ) -> dict[str, Arrays]:
        """For each quantity, its gradients to "point" and each parameter."""
        result = {}
        for q in QUANTITIES:
            gradients = self(x, y, parameters, only=q)[1]
            points = {name: gradients.pop(name) for name in "xy"}
            point = points["x" if q in AT_X else "y"]
            result[q] = {"the input": point, **gradients}
        return result


def arrays(tensors: Tensors) -> Arrays:
    """As NumPy arrays; a gradient may come as `tf.IndexedSlices`."""
    return {
        name: tf.convert_to_tensor(value).numpy()
        for name, value in tensors.items()
    }


def values(
    case: BijectorCase,
    x: np.ndarray,
    y: np.ndarray,
    parameters: Arrays,
    quantities: Sequence[str] = QUANTITIES,
) -> Arrays:
    """Quantities of a fresh bijector, eagerly, for any batch shapes."""
    bijector = case.fresh(parameters)
    points = tf.constant(x), tf.constant(y)
    return arrays(outputs(bijector, *points, case.event_ndims, quantities))


def jacobians(
    case: BijectorCase, x: np.ndarray, y: np.ndarray, parameters: Arrays
) -> Arrays:
    """Autodiff Jacobians in float64, `[N, B, D, D]`: "forward" and "inverse".

    Row i is the gradient of coordinate i, by the function that all checks
    share: calls are cheap, traces are not.
    """
    evaluate, size = Evaluator(case), case.event_size
    batch_shape = x.shape[: x.ndim - case.event_ndims]
    log_dets = {q: np.zeros(batch_shape) for q in ("fldj", "ildj")}
    rows: dict[str, list[np.ndarray]] = {"forward": [], "inverse": []}
    for row in np.eye(size).reshape(size, *case.event_shape):
        weights = {q: np.broadcast_to(row, x.shape) for q in rows} | log_dets
        gradients = evaluate(x, y, parameters, weights=weights)[1]
        for q, name in (("forward", "x"), ("inverse", "y")):
            rows[q].append(gradients[name].reshape(*batch_shape, size))
    return {q: np.stack(value, axis=-2) for q, value in rows.items()}


def second_derivatives(
    case: BijectorCase,
    mode: str,
    x: np.ndarray,
    y: np.ndarray,
    parameters: Arrays,
    tangent: np.ndarray,
) -> Arrays:
    """Derivatives of all gradients of `values_and_gradients` along a move.

    The points `x` and `y` move along `tangent` together. The first
    derivatives are those of an `Evaluator` in this mode; the mode "nested" has
    both tapes in one `tf.function`, and "xla" compiles that.
    """
    is_nested = mode in ("nested", "xla")
    function = (
        _function(case, "second", "float64", mode, False)
        if is_nested
        else functools.partial(
            _second_derivatives,
            _function(case, "evaluate", "float64", mode, False),
        )
    )
    weights = weights_of(case, x.shape[: x.ndim - case.event_ndims])
    found = function(
        tf.constant(x),
        tf.constant(y),
        case.tensors(parameters),
        case.tensors(weights),
        tf.constant(tangent),
    )
    return arrays(found)


def _second_derivatives(
    first: Callable[..., tuple[Tensors, Tensors]],
    x: tf.Tensor,
    y: tf.Tensor,
    parameters: Tensors,
    weights: Tensors,
    tangent: tf.Tensor,
) -> Tensors:
    with tf.GradientTape() as tape:
        tape.watch((x, y, parameters))
        gradients = first(x, y, parameters, weights)[1]
        slope = tf.reduce_sum((gradients["x"] + gradients["y"]) * tangent)
    sources = {f"`{name}`": p for name, p in parameters.items()}
    return tape.gradient(
        slope,
        {"x": x, "y": y, **sources},
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def _nested_second_derivatives(case: BijectorCase, *arguments: Any) -> Tensors:
    first = functools.partial(values_and_gradients, case)
    return _second_derivatives(first, *arguments)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "evaluate": values_and_gradients,
    "second": _nested_second_derivatives,
}


def _function(
    case: BijectorCase, name: str, dtype: str, mode: str, fall_back: bool
) -> Callable:
    """A function of this module for a case; its `tf.function` is made once."""
    function = _FUNCTIONS[name]
    eager = functools.partial(function, case)
    if mode == "eager":
        return eager
    functions = _TRACED.setdefault(case, {})
    key = (name, dtype, mode)
    if key not in functions:
        # The case must not be held by its own entry.
        reference = weakref.ref(case)
        functions[key] = tf.function(
            lambda *arguments: function(reference(), *arguments),
            jit_compile=mode == "xla" or None,
            autograph=False,
        )
    return _or_else(functions[key], eager) if fall_back else functions[key]


def _or_else(function: Callable, other: Callable) -> Callable:
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception:
            return other(*arguments)

    return call
