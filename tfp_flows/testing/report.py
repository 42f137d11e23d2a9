"""What a check found: measured errors, failures, and their text."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "CheckReport",
    "CheckResult",
    "ConformanceError",
    "Describe",
    "Failure",
    "Findings",
    "Measurement",
]

# Failures of one check that its text shows.
_MOST_SHOWN = 6

# Text of the example at an index of the compared arrays.
Describe: TypeAlias = Callable[[tuple[int, ...]], str]


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One comparison: its largest error, and the error allowed."""

    what: str
    error: float
    tolerance: float


@dataclasses.dataclass(frozen=True)
class Failure:
    """One thing that is not as it must be."""

    what: str
    expected: str
    found: str
    where: str = ""

    def __str__(self) -> str:
        text = (
            f"{self.what}\n      expected: {self.expected}"
            f"\n      found:    {self.found}"
        )
        return text + (f"\n      at:       {self.where}" if self.where else "")


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """The outcome of one check of one case.

    Attributes:
      check: the name in `CHECKS`.
      measurements: every comparison made.
      failures: empty if the check passed.
      not_applicable: why nothing was checked, or "".
      hint: what usually helps when this check fails, or "".
      seconds: wall time.
    """

    check: str
    measurements: tuple[Measurement, ...] = ()
    failures: tuple[Failure, ...] = ()
    not_applicable: str = ""
    hint: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def worst(self) -> Measurement | None:
        """The measurement nearest to its tolerance, or beyond it."""
        if not self.measurements:
            return None
        return max(self.measurements, key=lambda m: m.error / m.tolerance)

    def __str__(self) -> str:
        if self.failures:
            lines = [f"{self.check}:"]
            shown = self.failures[:_MOST_SHOWN]
            lines += [f"    - {failure}" for failure in shown]
            if len(self.failures) > len(shown):
                more = len(self.failures) - len(shown)
                lines.append(f"    - and {more} more in `failures`")
            if self.hint:
                lines.append(f"      hint:     {self.hint}")
            return "\n".join(lines)
        if self.not_applicable:
            note = f"not applicable: {self.not_applicable}"
        elif self.worst is None:
            note = "passed"
        else:
            note = (
                f"largest error {self.worst.error:.1e} of "
                f"{self.worst.tolerance:.1e} allowed ({self.worst.what})"
            )
        return f"{self.check:<17} {self.seconds:5.1f} s  {note}"


class ConformanceError(AssertionError):
    """A bijector failed; `results` holds the result of each failed check."""

    def __init__(
        self, name: str, results: Sequence[CheckResult], num_run: int
    ) -> None:
        self.results = tuple(results)
        body = "\n".join(f"  {result}" for result in results)
        super().__init__(
            f"{name} failed {len(results)} of {num_run} checks.\n{body}"
        )

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the failed checks."""
        return tuple(result.check for result in self.results)


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """Every check passed: what each one measured.

    Attributes:
      name: the case's name.
      results: one `CheckResult` per check, in the order they ran.
    """

    name: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> tuple[str, ...]:
        """The names of the checks that ran and passed."""
        return tuple(r.check for r in self.results if not r.not_applicable)

    def __getitem__(self, check: str) -> CheckResult:
        for result in self.results:
            if result.check == check:
                return result
        raise KeyError(check)

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.passed)} checks passed"]
        return "\n".join(lines + [f"  {result}" for result in self.results])


class Findings:
    """Collects what one check finds, without stopping at the first failure.

    Args:
      refuses: steps that must raise, by their name: to what the error says.
    """

    def __init__(self, refuses: Mapping[str, str] | None = None) -> None:
        self._refuses = refuses or {}
        self.measurements: list[Measurement] = []
        self.failures: list[Failure] = []
        self.not_applicable = ""
        self.hint = ""

    def require(
        self,
        holds: bool,
        what: str,
        *,
        expected: Any,
        found: Any,
        where: str = "",
    ) -> None:
        """Fails unless `holds`."""
        if not holds:
            self.failures.append(
                Failure(what, str(expected), _one_line(found), where)
            )

    def close(
        self,
        what: str,
        found: Any,
        expected: Any,
        tolerance: float,
        *,
        scale: Any = None,
        where: Describe | None = None,
        broadcast: bool = False,
    ) -> None:
        """Fails unless `|found - expected| <= tolerance * scale` everywhere.

        Args:
          what: the quantity compared.
          found: the bijector's array.
          expected: the reference.
          tolerance: largest error allowed.
          scale: what errors are relative to; default `1 + |expected|`.
          where: describes the example at an index of the arrays.
          broadcast: whether `found` may have size-1 or missing dimensions.
        """
        found, expected = np.asarray(found), np.asarray(expected)
        if broadcast:
            with contextlib.suppress(ValueError):
                found = np.broadcast_to(found, expected.shape)
        if found.shape != expected.shape:
            self.require(
                False,
                f"shape of {what}",
                expected=list(expected.shape),
                found=list(found.shape),
            )
            return
        if not expected.size:
            return
        scale = 1.0 + np.abs(expected) if scale is None else scale
        with np.errstate(all="ignore"):
            error = np.abs(
                found.astype(np.float64) - expected.astype(np.float64)
            ) / np.asarray(scale, np.float64)
        error = np.where(np.isfinite(error), error, np.inf)
        flat_index = np.unravel_index(int(np.argmax(error)), error.shape)
        worst = tuple(int(i) for i in flat_index)
        largest = float(error[worst])
        self.measurements.append(Measurement(what, largest, tolerance))
        self.require(
            largest <= tolerance,
            what,
            expected=f"{expected[worst]:.9g} within {tolerance:.1e}",
            found=f"{found[worst]:.9g}, error {largest:.2e}",
            where=where(worst) if where else "",
        )

    def finite(
        self,
        what: str,
        found: Any,
        where: Describe | None = None,
    ) -> None:
        """Fails unless every entry of `found` is finite."""
        found = np.asarray(found)
        bad = np.argwhere(~np.isfinite(found))
        if len(bad):
            index = tuple(int(i) for i in bad[0])
            self.require(
                False,
                what,
                expected="finite",
                found=f"{found[index]} ({len(bad)} of {found.size} entries)",
                where=where(index) if where else "",
            )

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Turns an exception inside the block into a failure of `what`.

        A step that the case refuses fails without such an exception.
        """
        refusal = self._refuses.get(what)
        expected = "a result"
        if refusal is not None:
            expected = f"an error that matches {refusal!r}"
        try:
            yield
        except Exception as error:
            self.require(
                refusal is not None and bool(re.search(refusal, str(error))),
                what,
                expected=expected,
                found=f"{type(error).__name__}: {error}",
            )
        else:
            self.require(
                refusal is None, what, expected=expected, found="no error"
            )


def _one_line(value: Any, limit: int = 400) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[:limit] + " ..."
