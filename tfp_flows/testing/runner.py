"""The checks by name, and the one call that runs them all."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import tensorflow_probability as tfp

from tfp_flows.testing import (
    densities,
    extremes,
    gradients,
    log_dets,
    modes,
    round_trips,
    shapes,
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
    "dynamic_shapes": shapes.check_dynamic_shapes,
    "round_trip": round_trips.check_round_trip,
    "cache": round_trips.check_cache,
    "log_det": log_dets.check_log_det,
    "gradients": gradients.check_gradients,
    "modes": modes.check_modes,
    "dtypes": modes.check_dtypes,
    "extreme_inputs": extremes.check_extreme_inputs,
    "identity": extremes.check_identity,
    "density": densities.check_density,
    "amortized_noise": densities.check_amortized_noise,
    "composite": structure.check_composite,
    "copy": structure.check_copy,
    "slicing": structure.check_slicing,
    "composition": structure.check_composition,
    "variables": variables.check_variables,
    "cached_variables": variables.check_cached_variables,
    "make_trainable": variables.check_make_trainable,
    "keras_variables": variables.check_keras_variables,
}


def _run(name: str, case: BijectorCase) -> CheckResult:
    findings = Findings()
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
        seed=seed,
    )
    return check_case(case, checks)
