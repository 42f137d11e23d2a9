"""The table on the mixtures of Gaussians."""

import collections
import statistics
from collections.abc import Sequence
from typing import Any

from trainers.report import text

__all__ = ["mixtures"]

Results = Sequence[dict[str, Any]]


def _divergence(runs: Results) -> str:
    """Exact, or between the means of two bounds."""
    names = ["kl"] if "kl" in runs[0] else ["kl_lower", "kl_upper"]
    return " to ".join(
        text.mean_and_error([run[name] for run in runs]) for name in names
    )


def _row(runs: Results) -> list[str]:
    first = runs[0]
    name = "CIF of splines" if first["posterior"] == "cif" else "splines"
    ordered = sorted(runs, key=lambda run: run["seed"])
    found = [str(run["num_modes_found"]) for run in ordered]
    between = statistics.mean(run["between_modes"] for run in runs)
    milliseconds = statistics.median(1e3 * r["seconds_per_step"] for r in runs)
    return [
        f"{first['num_modes']}",
        f"{first['config']['posterior']['initial_scale']:g}",
        name,
        text.joined([f"{run['num_parameters']:,}" for run in runs]),
        _divergence(runs),
        ", ".join(found),
        f"{100 * between:.1f} %",
        f"{milliseconds:.1f}",
    ]


def _caption(runs: Results) -> str:
    samples = text.joined([f"{run['num_samples']:,}" for run in runs])
    steps = text.joined([f"{run['num_steps']:,}" for run in runs])
    draws = [r["num_auxiliary_samples"] for r in runs if "kl_upper" in r]
    bounds = (
        "; of a CIF, which has no density, between two bounds, of "
        f"{text.joined(draws)} further u for each z with and without the one "
        "that it was made with"
        if draws
        else ""
    )
    return (
        f"KL(q || p) in nats after {steps} steps "
        f"([config](configs/mog_2d.py)), from a fixed N(0, sigma0^2 I): mean "
        f"and its standard error over seeds "
        f"{text.joined(run['seed'] for run in runs)}, each on {samples} fresh "
        f"samples{bounds}. A perfect fit to all but m of n modes has ln(n / (n "
        "- m)): one mode of nine is 0.118, one of sixteen 0.065. A mode is "
        "found, in the runs of these seeds, if at least half of its share of "
        "the samples lies within three of its standard deviations; the samples "
        "between the modes lie within those of none, of the target's own 1.1 "
        "%. The ms are the median step. "
        f"{text.provenance(runs)}"
    )


def mixtures(results: Results) -> str:
    """The table of flows and CIFs on mixtures.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    runs = [run for run in results if run.get("experiment") == "mixture"]
    if not runs:
        return "Not measured: no results.json of `trainers.sweeps.mog`."
    groups = collections.defaultdict(list)
    for run in runs:
        posterior = run["config"]["posterior"]
        key = (
            run["num_modes"],
            posterior["initial_scale"],
            run["posterior"] == "cif",
            run["num_parameters"],
        )
        groups[key].append(run)
    header = [
        *("modes", "sigma0", "posterior", "weights", "KL, nats"),
        *("modes found", "between", "ms"),
    ]
    rows = [_row(group) for _, group in sorted(groups.items())]
    return "\n".join([*text.table(header, rows, 3), "", _caption(runs)])
