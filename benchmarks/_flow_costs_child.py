"""The measuring processes of `flow_costs`, one task each.

Three tasks: `flows` times all the flows at one D, interleaved; `sequential`
times one step of each autoregressive flow beside its network; `convolution`
times circular convolutions of all sizes beside dense products, interleaved.
"""

import functools
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from ml_collections import config_dict

from benchmarks._long_flow_child import versions
from configs import image_defaults
from configs.flows import AUTOREGRESSIVE, FLOWS
from tfp_flows.bijectors import CircularConvolution
from tfp_flows.math import autoregressive
from trainers.flows import make_flow

__all__ = ["FlowAtSize", "convolution", "flows", "main", "sequential"]

OPERATIONS = ("forward", "inverse", "gradient")
# What is timed: takes nothing, returns tensors.
Call = Callable[[], tuple[tf.Tensor, ...]]


class FlowAtSize:
    """One flow on a batch of points, and what is timed of it.

    Its sizes are those of the image configs, apart from `num_flow_steps`.
    """

    def __init__(
        self,
        flow: str,
        event_size: int,
        num_flow_steps: int,
        batch: int,
        weight_noise: float,
    ) -> None:
        """Builds the flow and moves its weights.

        Args:
          flow: a name in `configs.flows.FLOWS`.
          event_size: D.
          num_flow_steps: K.
          batch: how many points are mapped at once.
          weight_noise: over the square root of D, or of a weight's longest
            axis if that is longer, the standard deviation of what is added to
            the initial weights, as many flows start at the identity.
        """
        settings = _settings(flow, event_size, num_flow_steps)
        layer: Any = make_flow(settings, seed=0)
        layer.build((None, event_size))
        self._layer = layer
        for i, weight in enumerate(layer.trainable_weights):
            noise = tf.random.stateless_normal(weight.shape, [i, 1])
            widest = max([event_size, *weight.shape[1:]])
            scale = weight_noise / math.sqrt(widest)
            weight.assign_add(scale * tf.cast(noise, weight.dtype))
        self._x = tf.random.stateless_normal([batch, event_size], [0, 2])
        self._y = tf.zeros_like(self._x)
        self._compiled = {
            operation: tf.function(function, jit_compile=True, autograph=False)
            for operation, function in (
                ("forward", self._forward),
                ("inverse", self._inverse),
                ("gradient", self._gradient),
            )
        }

    @property
    def num_parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(math.prod(w.shape) for w in self._layer.trainable_weights)

    @property
    def calls(self) -> dict[str, Call]:
        """The operations by name, in the order of `OPERATIONS`."""
        return {
            "forward": lambda: self._compiled["forward"](self._x),
            "inverse": lambda: self._compiled["inverse"](self._y),
            "gradient": lambda: self._compiled["gradient"](self._x),
        }

    def network(self) -> Call:
        """One pass through the network of an autoregressive step."""
        parameters = self._layer.parameters()
        names = self._layer.conditioner.parameter_shapes()
        weights = {name: parameters[name][0] for name in names}

        @tf.function(jit_compile=True, autograph=False)
        def call(x: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return (self._layer.conditioner(x, weights, None),)

        return lambda: call(self._x)

    def round_trip_error(self) -> float:
        """The largest of `|inverse(forward(x)) - x|`.

        From here on, `inverse` takes the images of the points.
        """
        self._y = self.calls["forward"]()[1]
        x = self.calls["inverse"]()[1]
        return float(tf.reduce_max(tf.abs(x - self._x)))

    def _forward(self, x: tf.Tensor) -> tuple[tf.Tensor, ...]:
        flow = self._layer.bijector()
        # Asked for at the same tensor, both come from one pass.
        log_det = flow.forward_log_det_jacobian(x, event_ndims=1)
        return log_det, flow.forward(x)

    def _inverse(self, y: tf.Tensor) -> tuple[tf.Tensor, ...]:
        flow = self._layer.bijector()
        log_det = flow.inverse_log_det_jacobian(y, event_ndims=1)
        return log_det, flow.inverse(y)

    def _gradient(self, x: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The free energy of a standard normal target, and its gradients."""
        weights = [w.value for w in self._layer.trainable_weights]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            log_det, y = self._forward(x)
            energy = 0.5 * tf.reduce_sum(tf.square(y), axis=-1)
            free_energy = tf.reduce_mean(energy - log_det)
        gradients = tape.gradient(
            free_energy,
            weights,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return free_energy, *gradients


def _settings(
    flow: str, event_size: int, num_flow_steps: int
) -> config_dict.ConfigDict:
    settings = image_defaults.get_config("mnist", None).posterior
    settings.flow = flow
    settings.num_flow_steps = num_flow_steps
    if flow in AUTOREGRESSIVE:  # a unit for each coordinate at least
        settings.conditioner_hidden_units = tuple(
            max(units, event_size)
            for units in settings.conditioner_hidden_units
        )
    settings.num_orthogonal_columns = min(
        settings.num_orthogonal_columns, event_size
    )
    return settings


def flows(
    names: list[str],
    event_size: int,
    num_flow_steps: int,
    batch: int,
    weight_noise: float,
    num_repeats: int,
) -> dict[str, Any]:
    """Times the operations of every flow at one D.

    Args:
      names: some of `configs.flows.FLOWS`; none: all of them.
      event_size: D.
      num_flow_steps: K.
      batch: how many points are mapped at once.
      weight_noise: as in `FlowAtSize`.
      num_repeats: how often each operation is timed.
    """
    names = names or list(FLOWS)
    sizes = (event_size, num_flow_steps, batch, weight_noise)
    # The first to be compiled also pays for what every process does once.
    for call in FlowAtSize(names[0], *sizes).calls.values():
        call()
    cases: list[dict[str, Any]] = []
    calls: dict[tuple[Any, str], Call] = {}
    first_seconds: dict[tuple[Any, str], float] = {}
    for name in names:
        flow = FlowAtSize(name, *sizes)
        for operation, call in flow.calls.items():
            calls[name, operation] = call
            seconds, tensors = _timed(call)
            _check_finite(f"{name} {operation}", tensors)
            first_seconds[name, operation] = seconds
        cases.append(
            {
                "flow": name,
                "num_parameters": flow.num_parameters,
                "round_trip_error": flow.round_trip_error(),
            }
        )
        _check_finite(f"{name} round trip", [cases[-1]["round_trip_error"]])
    milliseconds = _interleaved(calls, num_repeats)
    for case in cases:
        of_flow = {o: milliseconds[case["flow"], o] for o in OPERATIONS}
        case["milliseconds"] = of_flow
        # The first call traces, compiles and runs; later ones only run.
        case["compile_seconds"] = {
            operation: first_seconds[case["flow"], operation]
            - statistics.median(of_flow[operation]) / 1e3
            for operation in OPERATIONS
        }
    return {"cases": cases, "versions": _versions()}


def sequential(
    names: list[str],
    event_sizes: list[int],
    batch: int,
    weight_noise: float,
    num_repeats: int,
) -> dict[str, Any]:
    """Times one step of each flow, in both directions, beside its network.

    `sequential` is the direction in which one coordinate follows the other, at
    the images of random points; `all_rounds` is the same, but goes on for the D
    rounds that it may take, whatever has settled; `parallel` is the other
    direction; `passes` are D separate calls of the compiled network, `one_pass`
    is one.

    Args:
      names: some of `configs.flows.AUTOREGRESSIVE`; none: all of them.
      event_sizes: values of D.
      batch: how many points are mapped at once.
      weight_noise: as in `FlowAtSize`.
      num_repeats: how often each is timed.
    """
    names = names or list(AUTOREGRESSIVE)
    cases: list[dict[str, Any]] = []
    calls: dict[tuple[Any, str], Call] = {}
    # The first to be compiled also pays for what every process does once.
    for call in FlowAtSize(names[0], 2, 1, batch, weight_noise).calls.values():
        call()
    for size in event_sizes:
        for name in names:
            flow, endless = (
                FlowAtSize(name, size, 1, batch, weight_noise) for _ in range(2)
            )
            network = flow.network()
            ways = ["inverse", "forward"]  # sequential, parallel
            if FLOWS[name].fast_inverse:
                ways.reverse()
            of_flow = {
                "sequential": flow.calls[ways[0]],
                "all_rounds": endless.calls[ways[0]],
                "parallel": flow.calls[ways[1]],
                "one_pass": network,
                "passes": functools.partial(_repeated, network, size),
            }
            # It traces the calls, and gives the inverse its images.
            with mock.patch.object(autoregressive, "_is_moved", _always):
                errors = [endless.round_trip_error()]
            seconds = {}
            for way, call in of_flow.items():
                seconds[way], tensors = _timed(call)
                _check_finite(f"{name} {way}", tensors)
                calls[(name, size), way] = call
            errors.append(flow.round_trip_error())
            _check_finite(f"{name} round trip", errors)
            cases.append({"flow": name, "event_size": size, "first": seconds})
    milliseconds = _interleaved(calls, num_repeats)
    for case in cases:
        key = case["flow"], case["event_size"]
        case["milliseconds"] = {way: milliseconds[key, way] for way in of_flow}
        first = case.pop("first")
        case["compile_seconds"] = {
            way: first[way] - statistics.median(milliseconds[key, way]) / 1e3
            for way in ("sequential", "parallel")
        }
    return {"cases": cases, "versions": _versions()}


def _always(*_: tf.Tensor) -> tf.Tensor:
    return tf.constant(True)


def _repeated(call: Call, times: int) -> tuple[tf.Tensor, ...]:
    for _ in range(times - 1):
        call()
    return call()


def convolution(
    sizes: list[int],
    dense_sizes: list[int],
    log_det_sizes: list[int],
    num_signals: int,
    num_repeats: int,
) -> dict[str, Any]:
    """Times circular convolutions, and products with their dense matrices.

    Args:
      sizes: of the signals, N.
      dense_sizes: those for which the [N, N] matrix is made as well.
      log_det_sizes: those of `dense_sizes` for which its log-det is, too.
      num_signals: how many are mapped at once.
      num_repeats: how often each is timed.
    """
    cases: list[dict[str, Any]] = []
    calls: dict[tuple[Any, str], Call] = {}
    for size in sizes:
        spectrum = tf.Variable(tf.random.stateless_normal([size], [size, 1]))
        x = tf.random.stateless_normal([num_signals, size], [size, 2])
        ways = {"convolution": _convolved(spectrum, x)}
        differences: dict[str, float | None] = {"value": None, "log_det": None}
        log_det, y = ways["convolution"]()
        if size in dense_sizes:
            matrix = tf.Variable(_circulant(spectrum))
            ways["dense"] = _dense(matrix, x)
            (dense_y,) = ways["dense"]()
            differences["value"] = float(tf.reduce_max(tf.abs(dense_y - y)))
        if size in log_det_sizes:
            ways["dense_log_det"] = _dense_with_log_det(matrix, x)
            dense_log_det, _ = ways["dense_log_det"]()
            differences["log_det"] = float(
                tf.reduce_max(tf.abs(dense_log_det - log_det))
            )
        for way, call in ways.items():
            _check_finite(f"N={size} {way}", call())
            calls[size, way] = call
        cases.append({"size": size, "largest_differences": differences})
    milliseconds = _interleaved(calls, num_repeats)
    for case in cases:
        case["milliseconds"] = {
            way: milliseconds.get((case["size"], way))
            for way in ("convolution", "dense", "dense_log_det")
        }
    return {"cases": cases, "versions": _versions()}


def _convolved(spectrum: tf.Variable, x: tf.Tensor) -> Call:
    @tf.function(jit_compile=True, autograph=False)
    def call(x: tf.Tensor) -> tuple[tf.Tensor, ...]:
        bijector = CircularConvolution(spectrum)
        log_det = bijector.forward_log_det_jacobian(x, event_ndims=1)
        return log_det, bijector.forward(x)

    return lambda: call(x)


def _dense(matrix: tf.Variable, x: tf.Tensor) -> Call:
    @tf.function(jit_compile=True, autograph=False)
    def call(x: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (tf.linalg.matvec(matrix, x),)

    return lambda: call(x)


def _dense_with_log_det(matrix: tf.Variable, x: tf.Tensor) -> Call:
    # In graph mode: XLA cannot compile this op on CPUs.
    @tf.function(autograph=False)
    def log_det() -> tf.Tensor:
        return tf.linalg.slogdet(matrix).log_abs_determinant

    product = _dense(matrix, x)
    return lambda: (log_det(), *product())


def _circulant(spectrum: tf.Variable) -> np.ndarray:
    """The matrix `C[i, n] = k[(i - n) mod N]` of the convolution."""
    kernel = CircularConvolution(spectrum).kernel.numpy()
    index = np.arange(len(kernel), dtype=np.int32)
    return kernel[(index[:, np.newaxis] - index) % len(kernel)]


def _interleaved(
    calls: dict[tuple[Any, str], Call], num_repeats: int
) -> dict[tuple[Any, str], list[float]]:
    """Milliseconds of each call, in an order shuffled for every round."""
    milliseconds: dict[tuple[Any, str], list[float]] = {
        key: [] for key in calls
    }
    order = list(calls)
    generator = random.Random(0)
    for _ in range(num_repeats):
        generator.shuffle(order)
        for key in order:
            milliseconds[key].append(1e3 * _timed(calls[key])[0])
    return milliseconds


def _timed(call: Call) -> tuple[float, tuple[tf.Tensor, ...]]:
    start = time.perf_counter()
    tensors = call()
    tensors[0].numpy()  # waits for the compiled call, that is for all
    return time.perf_counter() - start, tensors


def _check_finite(name: str, values: Any) -> None:
    for value in values:
        if not np.all(np.isfinite(value)):
            raise FloatingPointError(
                f"`{name}` must be finite; got {np.ravel(value)[:8]}."
            )


def _versions() -> dict[str, str]:
    return {**versions(), "keras": keras.__version__}


def main(task_file: str, result_file: str) -> None:
    """Reads a task, runs it and writes its values."""
    task = json.loads(Path(task_file).read_text())
    tasks: dict[str, Callable[..., dict[str, Any]]] = {
        "flows": flows,
        "sequential": sequential,
        "convolution": convolution,
    }
    values = tasks[task.pop("task")](**task)
    Path(result_file).write_text(json.dumps(values))


if __name__ == "__main__":
    main(*sys.argv[1:])
