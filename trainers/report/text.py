"""What the tables share: cells, and where runs were made."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["hardware", "joined", "mean_and_error", "provenance", "table"]


def joined(values: Iterable[Any]) -> str:
    """The different values, sorted, with commas."""
    return ", ".join(str(value) for value in sorted(set(values)))


def mean_and_error(values: Sequence[float]) -> str:
    """The mean over seeds and its standard error, which takes two."""
    mean = f"{statistics.mean(values):.3f}"
    if len(values) < 2:
        return mean
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean} ± {error:.3f}"


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    num_words: int | None = None,
) -> list[str]:
    """The lines of a Markdown table.

    Args:
      header: names of the columns.
      rows: their cells.
      num_words: how many columns, from the left, hold words; the others hold
        numbers. Default: all.
    """
    if num_words is None:
        num_words = len(header)
    rules = ["---"] * num_words + ["---:"] * (len(header) - num_words)
    return [
        "| " + " | ".join(map(str, cells)) + " |"
        for cells in (header, rules, *rows)
    ]


def hardware(runs: Iterable[dict[str, Any]]) -> str:
    """What trainers' runs were made on."""
    return joined(
        f"{run['hardware']['cpu']}, {run['hardware']['cores']} cores"
        + "".join(f", {name}" for name in run["hardware"]["accelerators"])
        for run in runs
    )


def provenance(runs: Sequence[dict[str, Any]]) -> str:
    """Hardware, days and commits of trainers' runs, as half a sentence."""
    days = sorted(run["finished"][:10] for run in runs)
    commits = [
        (run["commit"] or "unknown")[:10] + (" (dirty)" if run["dirty"] else "")
        for run in runs
    ]
    return (
        f"{hardware(runs)}; "
        f"{days[0]}{' to ' + days[-1] if days[-1] != days[0] else ''}; "
        f"commit {joined(commits)}."
    )
