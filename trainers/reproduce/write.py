"""A table as Markdown, as JSON and as a picture, from what is finished."""

import math
import os
import statistics
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from matplotlib import figure

from trainers.report import text
from trainers.reproduce.plan import Job
from trainers.reproduce.table import Measure, Table
from trainers.runs import figures
from trainers.runs import workdir as workdirs

__all__ = ["summarize", "write"]

_OURS, _PUBLISHED = "#7b2382", ("#e0702a", "#2a7ae0", "#4a8f3c")


def summarize(table: Table, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """For each row its measured means and errors, and what is published.

    Args:
      table: whose rows they are.
      jobs: the runs; those without results are left out.
    """
    found = []
    for row in table.rows:
        runs = [
            {**results, "per_image": job.per_image()}
            for job in jobs
            if job.row is row and (results := job.results()) is not None
        ]
        measured = {}
        if runs:
            measured = {m.name: _mean(m, runs) for m in table.measures}
        found.append(
            {
                "row": row.words,
                "num_seeds": len(runs),
                "num_steps": [run["num_steps"] for run in runs],
                "measured": measured,
                "published": {k: dict(v) for k, v in row.published.items()},
            }
        )
    return found


def _mean(
    measure: Measure, runs: Sequence[dict[str, Any]]
) -> dict[str, float | None]:
    """Over seeds, with the standard error: over them, or over examples."""
    values = [v for run in runs if (v := measure.value(run)) is not None]
    if not values:
        return {"value": None, "standard_error": None}
    error = measure.standard_error(runs[0])
    if len(values) > 1:
        error = statistics.stdev(values) / math.sqrt(len(values))
    return {"value": statistics.mean(values), "standard_error": error}


def _cell(measured: dict[str, float | None] | None) -> str:
    if not measured or measured["value"] is None:
        return "-"
    error = measured["standard_error"]
    ending = "" if error is None else f" ± {error:.2f}"
    return f"{measured['value']:.2f}{ending}"


def _sources(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(s for row in rows for s in row["published"]))


def markdown(table: Table, rows: Sequence[dict[str, Any]], budget: str) -> str:
    """The table, and what readers must know of it."""
    names = [measure.name for measure in table.measures]
    sources = _sources(rows)
    shown = {
        source: [
            name
            for name in names
            if any(name in row["published"].get(source, {}) for row in rows)
        ]
        for source in sources
    }
    header = [
        "",
        *names,
        *(f"{source}: {' / '.join(shown[source])}" for source in sources),
    ]
    cells = [
        [
            row["row"],
            *(_cell(row["measured"].get(name)) for name in names),
            *(
                " / ".join(
                    f"{row['published'].get(source, {}).get(name, '-')}"
                    for name in shown[source]
                )
                for source in sources
            ),
        ]
        for row in rows
    ]
    steps = [n for row in rows for n in row["num_steps"]] or [0]
    trained = f"{min(steps):,}"
    if max(steps) > min(steps):
        trained += f" to {max(steps):,}"
    return "\n".join(
        [
            f"## {table.title}",
            "",
            *text.table(header, cells, 1),
            "",
            f"{table.note} Budget {budget}: after {trained} updates.",
            "",
        ]
    )


def _draw(path: str, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Measured and published values of the first measure, row by row."""
    measure = table.measures[0].name
    fig = figure.Figure(
        figsize=(8.0, 1.2 + 0.28 * len(rows)), layout="constrained"
    )
    axes = fig.subplots()
    for colour, source in zip(_PUBLISHED, _sources(rows), strict=False):
        points = [
            (row["published"][source][measure], i)
            for i, row in enumerate(rows)
            if measure in row["published"].get(source, {})
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                "o",
                mfc="none",
                color=colour,
                label=source,
            )
    measured = [
        (found["value"], i, found["standard_error"] or 0.0)
        for i, row in enumerate(rows)
        if (found := row["measured"].get(measure))
        and found["value"] is not None
    ]
    if measured:
        values, places, widths = zip(*measured, strict=True)
        axes.errorbar(
            values,
            places,
            xerr=widths,
            fmt="o",
            color=_OURS,
            capsize=2,
            label="measured here",
        )
    axes.set_yticks(range(len(rows)), [row["row"] for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"{measure}, nats")
    axes.grid(True, axis="x", linewidth=0.3, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(table.title, fontsize=9)
    if axes.has_data():
        axes.legend(frameon=False, fontsize=8)
    figures.save(fig, path, dpi=130)


def write(directory: str, table: Table, jobs: Sequence[Job]) -> str:
    """Writes table.md, table.json and table.png of what is finished.

    Args:
      directory: where to.
      table: which.
      jobs: its runs, of one budget.

    Returns:
      The Markdown.

    Raises:
      StorageError: a file could not be written.
    """
    rows = summarize(table, jobs)
    shown = markdown(table, rows, jobs[0].budget)
    with workdirs.writing(directory):
        tf.io.gfile.makedirs(directory)
        workdirs.write_json(
            os.path.join(directory, "table.json"),
            {
                "title": table.title,
                "budget": jobs[0].budget,
                "note": table.note,
                "rows": rows,
            },
        )
        path = os.path.join(directory, "table.md")
        with tf.io.gfile.GFile(path, "w") as file:
            file.write(shown)
        _draw(os.path.join(directory, "table.png"), table, rows)
    return shown
