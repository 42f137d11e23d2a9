"""The tables on the two-dimensional energies."""

import collections
import statistics
from collections.abc import Sequence
from typing import Any

from trainers.report import text

__all__ = ["energies"]

Results = Sequence[dict[str, Any]]
Groups = dict[tuple[str, str, int], list[dict[str, Any]]]


def _labeled(run: dict[str, Any]) -> dict[str, Any]:
    """NICE without the annealing of its config is a flow of its own here."""
    training = run.get("config", {}).get("training", {})
    if run["flow"].startswith("nice") and training.get("annealing_steps") == 0:
        return {**run, "flow": f"{run['flow']}, not annealed"}
    return run


def _cell(runs: Results) -> str:
    """Median KL and, behind it, the range over the seeds."""
    if not runs:
        return "-"
    kls = [run["kl"] for run in runs]
    median = f"{statistics.median(kls):.4f}"
    if len(kls) == 1:
        return median
    return f"**{median}** ({min(kls):.4f} to {max(kls):.4f})"


def _seeds(runs: Results) -> str:
    """The seeds, flow by flow where they differ."""
    flows = collections.defaultdict(list)
    for flow in sorted({run["flow"] for run in runs}):
        of_flow = [run["seed"] for run in runs if run["flow"] == flow]
        flows[text.joined(of_flow)].append(flow)
    if len(flows) == 1:
        return f"seeds {next(iter(flows))}"
    return "seeds " + ", ".join(
        f"{seeds} ({', '.join(names)})" for seeds, names in flows.items()
    )


def _caption(runs: Results) -> str:
    samples = text.joined([f"{run['num_samples']:,}" for run in runs])
    steps = text.joined([f"{run['num_steps']:,}" for run in runs])
    error = max(run["standard_error"] for run in runs)
    outside = max(run["share_outside"] for run in runs)
    return (
        "Exact KL(q || p) = F + ln Z in nats after "
        f"{steps} steps ([config](configs/energy_2d.py)): median, lowest and "
        f"highest of {_seeds(runs)}, each on {samples} fresh samples with a "
        f"standard error of at most {error:.4f}; at most "
        f"{100 * outside:.3f} % of the samples outside the square [-5, 5]^2. "
        "The ms are the median step at the largest K. "
        f"{text.provenance(runs)}"
    )


def _groups(runs: Results) -> Groups:
    groups: Groups = collections.defaultdict(list)
    for run in runs:
        groups[run["target"], run["flow"], run["num_flow_steps"]].append(run)
    return groups


def _by_seed(groups: Groups, length: int) -> list[str]:
    """The KL of every seed at one length, and the flow of the least median."""
    targets = sorted({target for target, _, k in groups if k == length})
    rows = []
    for target in targets:
        found = {
            flow: sorted(runs, key=lambda run: run["seed"])
            for (t, flow, k), runs in sorted(groups.items())
            if (t, k) == (target, length)
        }
        medians = {
            flow: statistics.median(run["kl"] for run in runs)
            for flow, runs in found.items()
        }
        best = min(medians, key=lambda flow: medians[flow])
        rows += [
            [
                target.upper(),
                flow,
                ", ".join(f"{run['kl']:.4f}" for run in runs),
                f"{medians[flow]:.4f}" + (", the lowest" * (flow == best)),
            ]
            for flow, runs in found.items()
        ]
    header = ["target", "flow", f"KL of each seed, K = {length}", "median"]
    return text.table(header, rows)


def energies(results: Results) -> str:
    """The table of the energies, and every seed at the shortest length.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      Markdown tables and their caption.
    """
    runs = [
        _labeled(run) for run in results if run.get("experiment") == "energy"
    ]
    if not runs:
        return "Not measured: no results.json of this experiment."
    groups = _groups(runs)
    lengths = sorted({length for _, _, length in groups})
    header = [
        "target",
        "ln Z",
        "flow",
        *(f"KL, K = {length}" for length in lengths),
        f"parameters, K = {lengths[-1]}",
        "ms",
    ]
    rows = []
    for target, flow in sorted({key[:2] for key in groups}):
        found = [groups.get((target, flow, length), []) for length in lengths]
        first = next(runs_of_cell for runs_of_cell in found if runs_of_cell)[0]
        longest = found[-1]
        milliseconds = [1e3 * run["seconds_per_step"] for run in longest]
        rows.append(
            [
                target.upper(),
                f"{first['log_normalizer']:.4f}",
                flow,
                *(_cell(runs_of_cell) for runs_of_cell in found),
                text.joined([run["num_parameters"] for run in longest]) or "-",
                f"{statistics.median(milliseconds):.2f}" if longest else "-",
            ]
        )
    lines = [*text.table(header, rows), "", _caption(runs)]
    return "\n".join([*lines, "", *_by_seed(groups, lengths[0])])
