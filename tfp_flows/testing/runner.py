"""The checks by name, and the one call that runs them all."""

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import tensorflow_probability as tfp

from tfp_flows.testing import (
    batches,
    composition,
    densities,
    derivatives,
    extremes,
    gradients,
    lifetimes,
    log_dets,
    loops,
    modes,
    round_trips,
    shapes,
    sizes,
    structure,
    variables,
)
from tfp_flows.testing.case import BijectorCase, ParameterShapesLike
from tfp_flows.testing.report import (
    CheckReport,
    CheckResult,
    ConformanceError,
    Findings,
)
from tfp_flows.testing.tolerances import Tolerances

__all__ = ["CHECKS", "check_bijector", "check_case"]

_COLLECT: dict[str, Callable[[BijectorCase, Findings], None]] = {
    "shapes": shapes.check_shapes,
    "batch_shape": shapes.check_batch_shape,
    "dynamic_shapes": sizes.check_dynamic_shapes,
    "batches": batches.check_batches,
    "wrong_sizes": sizes.check_wrong_sizes,
    "round_trip": round_trips.check_round_trip,
    "cache": round_trips.check_cache,
    "log_det": log_dets.check_log_det,
    "autoregressive": log_dets.check_autoregressive,
    "gradients": gradients.check_gradients,
    "jacobians": derivatives.check_jacobians,
    "hessians": derivatives.check_hessians,
    "vectorized_map": loops.check_vectorized_map,
    "control_flow": loops.check_control_flow,
    "modes": modes.check_modes,
    "dtypes": modes.check_dtypes,
    "extreme_inputs": extremes.check_extreme_inputs,
    "identity": extremes.check_identity,
    "density": densities.check_density,
    "amortized_noise": densities.check_amortized_noise,
    "composite": structure.check_composite,
    "copy": structure.check_copy,
    "slicing": structure.check_slicing,
    "composition": composition.check_composition,
    "memory": lifetimes.check_memory,
    "variable_reads": lifetimes.check_variable_reads,
    "variables": variables.check_variables,
    "cached_variables": variables.check_cached_variables,
    "make_trainable": variables.check_make_trainable,
    "parameter_properties": variables.check_parameter_properties,
    "keras_variables": variables.check_keras_variables,
}


def _run(name: str, case: BijectorCase) -> CheckResult:
    findings = Findings(case.refuses)
    start = time.perf_counter()
    with findings.attempt("the check itself"):
        _COLLECT[name](case, findings)
    return CheckResult(
        check=name,
        measurements=tuple(findings.measurements),
        failures=tuple(findings.failures),
        not_applicable=findings.not_applicable,
        hint=findings.hint,
        seconds=time.perf_counter() - start,
    )


def _by_name(name: str) -> Callable[[BijectorCase], CheckResult]:
    def check(case: BijectorCase) -> CheckResult:
        result = _run(name, case)
        if not result.passed:
            raise ConformanceError(case.name, [result], 1)
        return result

    check.__name__ = f"check_{name}"
    check.__doc__ = _COLLECT[name].__doc__
    return check


# Each check alone: takes a `BijectorCase`, returns a `CheckResult`, raises
# `ConformanceError`.
CHECKS: Mapping[str, Callable[[BijectorCase], CheckResult]] = MappingProxyType(
    {name: _by_name(name) for name in _COLLECT}
)


def check_case(
    case: BijectorCase, checks: Sequence[str] | None = None
) -> CheckReport:
    """Runs `checks` (default: all) on a case.

    Raises:
      ConformanceError: at least one failed; lists every failure of every
        check.
      ValueError: `checks` names an unknown check.
    """
    names = tuple(CHECKS) if checks is None else tuple(checks)
    unknown = [name for name in names if name not in CHECKS]
    if unknown or not names:
        raise ValueError(
            f"`checks` must name some of {', '.join(CHECKS)}; got {checks!r}."
        )
    # A case that cannot even give parameters is no finding about a bijector.
    case.parameters("parameters", ())
    results = [_run(name, case) for name in names]
    failed = [result for result in results if not result.passed]
    if failed:
        raise ConformanceError(case.name, failed, len(results))
    return CheckReport(case.name, tuple(results))


def check_bijector(
    build: Callable[..., tfp.bijectors.Bijector],
    event_shape: Sequence[int],
    *,
    parameter_shapes: ParameterShapesLike = None,
    identity_at: Sequence[str] = (),
    circular: bool | Sequence[int] = False,
    half_width: float = math.pi,
    autoregressive_order: Sequence[int] | None = None,
    refuses: Mapping[str, str] | None = None,
    thorough: bool = False,
    parameter_scale: float = 1.0,
    dtypes: Sequence[str] = ("float32", "float64"),
    tolerances: Tolerances | None = None,
    seed: int = 0,
    name: str | None = None,
    checks: Sequence[str] | None = None,
) -> CheckReport:
    """Checks a bijector in one call.

    Args:
      build: a `tfb.Bijector` class with complete `_parameter_properties`, a
        `functools.partial` of one, or any function `build(**parameters)` that
        returns a bijector.
      event_shape: of the points, such as `[3]`.
      parameter_shapes: `{name: ParameterShape}`, or a function that returns it
        for an event shape. Needed where `build` is not a class.
      identity_at: parameters at whose zero the map is promised to be the
        identity.
      circular: which coordinates are points of a circle, see `BijectorCase`.
      half_width: half of the length of these circles.
      autoregressive_order: the place of each coordinate in an order in which
        no coordinate depends on a later one, `[D]`; None: no promise.
      refuses: steps of checks that must raise, to a regular expression that
        the error matches, see `BijectorCase`.
      thorough: whether the checks of derivatives and loops run every program
        they know.
      parameter_scale: norm of the free reals behind each random parameter.
      dtypes: among "float32" and "float64".
      tolerances: largest errors that count as right; default `Tolerances()`.
      seed: of every random number.
      name: for the report; default the name of `build`.
      checks: names of `CHECKS` to run; default all.

    Returns:
      A `CheckReport` with the errors measured.

    Raises:
      ConformanceError: lists each failed check with what was expected, what
        was found and at which parameters.
      ValueError: the case is not complete, or `checks` names an unknown check.
    """
    function = build.func if isinstance(build, functools.partial) else build
    default = getattr(function, "__name__", type(function).__name__)
    case = BijectorCase(
        name=name or default,
        build=build,
        event_shape=tuple(event_shape),
        parameter_shapes=parameter_shapes,
        tolerances=tolerances or Tolerances(),
        dtypes=dtypes,
        parameter_scale=parameter_scale,
        identity_at=identity_at,
        circular=circular,
        half_width=half_width,
        autoregressive_order=autoregressive_order,
        refuses=refuses or {},
        thorough=thorough,
        seed=seed,
    )
    return check_case(case, checks)
