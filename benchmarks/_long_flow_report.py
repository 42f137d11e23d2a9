"""Medians, ratios and tables of `long_flow`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks import _measure

__all__ = ["markdown", "ratios", "summarise"]


class Ratio(NamedTuple):
    """A quotient of two medians, and the most that is wanted of it."""

    numerator: tuple[str, str]
    denominator: tuple[str, str]
    quantity: str
    at_most: float


RATIOS = {
    "first step, scan graph / chain graph": Ratio(
        ("scan", "graph"), ("chain", "graph"), "first_step_seconds", 0.2
    ),
    "first step, scan XLA / chain graph": Ratio(
        ("scan", "xla"), ("chain", "graph"), "first_step_seconds", 0.2
    ),
    "step, scan XLA / chain graph": Ratio(
        ("scan", "xla"), ("chain", "graph"), "step_milliseconds", 0.5
    ),
    "step, scan XLA / floor XLA": Ratio(
        ("scan", "xla"), ("floor", "xla"), "step_milliseconds", 1.25
    ),
}
_GROWTH = "first step, scan XLA, longest / shortest flow"
_GROWTH_AT_MOST = 1.3


def summarise(case: dict[str, Any]) -> None:
    """Replaces lists by median and quartiles; `None` where not finished."""
    for key in ("first_step_seconds", "peak_memory_mib", "import_memory_mib"):
        values = case[key]
        done = values and case["status"] == "finished"
        case[key] = (
            {**_measure.quartiles(values), "values": values} if done else None
        )
    values = case["step_milliseconds"]
    done = values and case["status"] == "finished"
    case["step_milliseconds"] = (
        {**_measure.quartiles(values), "num_steps": len(values)}
        if done
        else None
    )


def ratios(
    cases: dict[tuple[str, str, int], dict[str, Any]],
    flow_steps: Sequence[int],
) -> dict[str, dict[str, Any]]:
    """The quotients asked for, for every K; `None` where a case is missing."""

    def median(case: tuple[str, str], k: int, quantity: str) -> float | None:
        summary = cases[*case, k][quantity]
        return summary and summary["median"]

    def quotient(top: float | None, bottom: float | None) -> float | None:
        return top / bottom if top and bottom else None

    answer: dict[str, dict[str, Any]] = {}
    for name, ratio in RATIOS.items():
        values = {
            str(k): quotient(
                median(ratio.numerator, k, ratio.quantity),
                median(ratio.denominator, k, ratio.quantity),
            )
            for k in flow_steps
        }
        answer[name] = {"at_most": ratio.at_most, "values": values}
    first, last = min(flow_steps), max(flow_steps)
    growth = quotient(
        median(("scan", "xla"), last, "first_step_seconds"),
        median(("scan", "xla"), first, "first_step_seconds"),
    )
    answer[_GROWTH] = {
        "at_most": _GROWTH_AT_MOST,
        "values": {f"{last}/{first}": growth},
    }
    return answer


def markdown(results: dict[str, Any]) -> str:
    """The results as two Markdown tables: the cases and the ratios."""
    machine, versions = results["machine"], results["versions"]
    lines = [
        f"{results['date']}, commit {str(results['commit'])[:10]}"
        f"{' (changed)' if results['dirty'] else ''}, {machine['cpu']}, "
        f"{machine['cores']} cores, TensorFlow "
        f"{versions.get('tensorflow', '-')}",
        "",
        "| K | variant | mode | first step, s | step, ms (quartiles) "
        "| peak memory, MiB |",
        "| ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for case in results["cases"]:
        first = case["first_step_seconds"]
        step = case["step_milliseconds"]
        memory = case["peak_memory_mib"]
        if case["status"] != "finished":
            cells = [case["status"], "-", "-"]
        else:
            cells = [
                f"{first['median']:.2f}",
                f"{step['median']:.1f} ({step['q1']:.1f}-{step['q3']:.1f})"
                + ("" if case["interleaved"] else " alone"),
                f"{memory['median']:.0f}",
            ]
        row = [case["num_flow_steps"], case["variant"], case["mode"], *cells]
        lines.append(f"| {' | '.join(map(str, row))} |")
    lines += ["", "| ratio of medians | K | value | wanted |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for name, ratio in results["ratios"].items():
        for k, value in ratio["values"].items():
            shown = "-" if value is None else f"{value:.3f}"
            lines.append(f"| {name} | {k} | {shown} | {ratio['at_most']} |")
    return "\n".join(lines)
