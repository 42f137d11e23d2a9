"""The table on logistic regressions of known evidence."""

import collections
import statistics
from collections.abc import Sequence
from typing import Any

from trainers.report import text

__all__ = ["bridges"]

Results = Sequence[dict[str, Any]]

_WORDS = {"hamiltonian": "Hamiltonian", "langevin": "Langevin"}


def bridges(results: Results) -> str:
    """The gap of the bound by the number of bridges.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    runs = [
        run for run in results if run.get("experiment") == "logistic_regression"
    ]
    if not runs:
        return (
            "Not measured: no results.json of "
            "`trainers.sweeps.logistic_regression`."
        )
    groups = collections.defaultdict(list)
    for run in runs:
        base = run["config"]["posterior"]["base"]
        length = run.get("num_bridges", 0)
        groups[run["target"], base, run["posterior"], length].append(run)
    lengths = sorted({key[-1] for key in groups})
    kinds = {key[:3] for key in groups if key[-1]} or {
        key[:3] for key in groups
    }
    rows = []
    for target, base, posterior in sorted(kinds):
        found = [
            groups.get((target, base, posterior if k else "flow", k), [])
            for k in lengths
        ]
        first = next(group for group in found if group)[0]
        rows.append(
            [
                target,
                f"{first['log_normalizer']:.3f}",
                base,
                _WORDS.get(posterior, "none"),
                *map(_gap, found),
                ", ".join(_milliseconds(group) for group in found),
            ]
        )
    header = [
        *("data", "ln Z", "base", "bridges"),
        *(f"gap, K = {k}" for k in lengths),
        "ms",
    ]
    return "\n".join([*text.table(header, rows, 4), "", _caption(runs)])


def _gap(runs: Results) -> str:
    """Exact without bridges, else that of the bound."""
    values = [run["kl" if "kl" in run else "auxiliary_kl"] for run in runs]
    return text.mean_and_error(values) if values else "-"


def _milliseconds(runs: Results) -> str:
    if not runs:
        return "-"
    return f"{statistics.median(1e3 * r['seconds_per_step'] for r in runs):.1f}"


def _caption(runs: Results) -> str:
    samples = text.joined([f"{run['num_samples']:,}" for run in runs])
    steps = text.joined([f"{run['num_steps']:,}" for run in runs])
    largest = max(run["standard_error"] for run in runs)
    seeds = {run["seed"] for run in runs}
    of_seeds = (
        f"mean and its standard error over seeds {text.joined(seeds)}, each"
    )
    return (
        "ln Z less the bound, in nats, after "
        f"{steps} steps ([config](configs/logistic_regression.py)): "
        f"{'of one seed' if len(seeds) == 1 else of_seeds} on {samples} fresh "
        f"samples, standard error at most {largest:.3f}. K = 0 is the Gaussian "
        "alone, whose gap is KL(q || p); with bridges the gap is an upper "
        "bound on that of their samples. The ms are the median steps, K by K. "
        f"{text.provenance(runs)}"
    )
