"""The tables on densities of data."""

import collections
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from trainers.report import text

__all__ = ["TABLES", "best_published", "densities_2d", "made", "uci_densities"]

Run = dict[str, Any]
Results = Sequence[Run]

# In the order of the columns; other flows follow.
_FLOWS = {
    "none": "Gaussian",
    "planar": "planar",
    "maf": "MAF",
    "spline_coupling": "NSF, coupling",
    "spline_autoregressive": "NSF, autoregressive",
}
_MODELS = {
    "gaussian": "Gaussian network",
    "mdn": "mixture network",
    "maf": "MAF",
    "nsf": "NSF",
}
TABLES = ("fish", "concrete", "energy", "skillcraft")
# As the pages of benchmarks give them, whose splits are not known.
_PUBLISHED = {
    "fish": ("1.24", "-", "0.89"),
    "concrete": ("1.24", "0.59", "0.44"),
    "energy": ("1.89", "-1.66", "-2.03"),
    "skillcraft": ("4.49", "-", "-"),
}


def best_published(table: str) -> str:
    """The lowest quoted -ln p of a UCI table, in nats, or "-"."""
    quoted = [cell for cell in _PUBLISHED.get(table, ()) if cell != "-"]
    return min(quoted, key=float, default="-")


def _in_order(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Known names in their order, then the others."""
    found = set(names)
    return [n for n in known if n in found] + sorted(found - set(known))


def densities_2d(results: Results) -> str:
    """Negative log-likelihoods beside the entropy.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    runs = [run for run in results if run.get("experiment") == "density_2d"]
    if not runs:
        return "Not measured: no results.json of `trainers.sweeps.density_2d`."
    groups = collections.defaultdict(list)
    for run in runs:
        groups[run["dataset"], run["config"]["model"]["flow"]].append(run)
    flows = _in_order((flow for _, flow in groups), _FLOWS)
    header = ["data", "entropy", *(_FLOWS.get(flow, flow) for flow in flows)]
    rows = []
    for data in sorted({data for data, _ in groups}):
        found = [groups.get((data, flow), []) for flow in flows]
        entropy = next(group for group in found if group)[0].get("entropy")
        rows.append(
            [
                data.replace("_", " "),
                "-" if entropy is None else f"{entropy:.3f}",
                *map(_planar_cell, found),
            ]
        )
    return "\n".join([*text.table(header, rows, 1), "", _planar_caption(runs)])


def _planar_cell(runs: Results) -> str:
    if not runs:
        return "-"
    cell = text.mean_and_error([-run["log_likelihood"] for run in runs])
    if "kl" in runs[0]:
        cell += f" ({statistics.mean(run['kl'] for run in runs):+.3f})"
    return cell


def _planar_caption(runs: Results) -> str:
    samples = text.joined(f"{r['protocol']['num_test']:,}" for r in runs)
    steps = text.joined(f"{run['num_steps']:,}" for run in runs)
    largest = max(run["log_likelihood_standard_error"] for run in runs)
    milliseconds = collections.defaultdict(list)
    parameters = {}
    for run in runs:
        flow = run["config"]["model"]["flow"]
        milliseconds[flow].append(1e3 * run["seconds_per_step"])
        parameters[flow] = run["num_parameters"]
    costs = ", ".join(
        f"{_FLOWS.get(flow, flow)} {parameters[flow]:,} weights and "
        f"{statistics.median(milliseconds[flow]):.1f} ms"
        for flow in _in_order(parameters, _FLOWS)
    )
    return (
        "-ln p in nats per point, lower is better, after "
        f"{steps} steps ([config](configs/density_2d.py)), each on fresh "
        "points: mean and its standard error over seeds "
        f"{text.joined(run['seed'] for run in runs)}, each on {samples} fresh "
        f"points, standard error at most {largest:.4f}; in brackets what it is "
        "above the entropy, KL(p || q) estimated on the same points. Medians "
        f"of a step: {costs}. {text.provenance(runs)}"
    )


def uci_densities(results: Results) -> str:
    """Conditional densities of UCI tables, over the splits.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      Two Markdown tables and their caption.
    """
    runs = [
        run for run in results if run.get("experiment") == "uci_density_sweep"
    ]
    if not runs:
        return "Not measured: no results.json of `trainers.sweeps.uci_density`."
    groups = {(run["dataset"], run["model"]): run for run in runs}
    models = _in_order((model for _, model in groups), _MODELS)
    tables = _in_order((table for table, _ in groups), TABLES)
    header = [
        *("table", "targets", "rows"),
        *(_MODELS.get(model, model) for model in models),
        *("NF, quoted", "DDN, quoted", "CDF-first, quoted"),
    ]
    rows, ensembles = [], []
    for table in tables:
        found = [groups.get((table, model)) for model in models]
        if any(run and "ensemble" in run for run in found):
            cells = [_of_ensemble(run) if run else "-" for run in found]
            ensembles.append([table, *cells])
        sizes = next(run for run in found if run)["protocol"]
        names = ("num_train", "num_validation", "num_test")
        rows.append(
            [
                table,
                len(sizes["targets"]),
                " / ".join(f"{sizes[name]:,}" for name in names),
                *(_of_splits(run) if run else "-" for run in found),
                *_PUBLISHED.get(table, ("-", "-", "-")),
            ]
        )
    lines = text.table(header, rows, 1)
    if ensembles:
        of_models = [_MODELS.get(model, model) for model in models]
        header = ["as an ensemble", *of_models]
        lines += ["", *text.table(header, ensembles, 1)]
    header = ["table", "model", "settings", "weights", "steps", "s"]
    chosen = [
        _chosen(groups[table, model])
        for table in tables
        for model in models
        if (table, model) in groups
    ]
    lines += ["", *text.table(header, chosen, 3)]
    of_splines = [run for run in runs if run["model"] == "nsf"]
    if of_splines:
        lines += ["", *_gains(of_splines)]
    return "\n".join([*lines, "", _uci_caption(runs)])


def _gains(runs: Results) -> list[str]:
    """What each setting changes of the validation rows' log-likelihood."""
    names = dict.fromkeys(
        name for run in runs for name in run["validation_log_likelihoods"]
    )
    rows = []
    for name in names:
        cells = []
        for run in runs:
            values = run["validation_log_likelihoods"]
            cells.append(
                f"{values[name] - values['plain']:+.3f}"
                if {name, "plain"} <= values.keys()
                else "-"
            )
        rows.append([name.replace("_", " "), *cells])
    header = ["NSF, settings", *(run["dataset"] for run in runs)]
    return text.table(header, rows, 1)


def _of_ensemble(run: Run) -> str:
    ensemble = run.get("ensemble")
    if ensemble is None:
        return "-"
    values = [-value for value in ensemble["log_likelihoods"]]
    return f"{text.mean_and_error(values)} ({ensemble['num_members']})"


def _of_splits(run: Run) -> str:
    values = [-split["log_likelihood"] for split in run["splits"]]
    cell = text.mean_and_error(values)
    return cell if len(values) == 20 else f"{cell}, {len(values)} splits"


def _chosen(run: Run) -> list[str]:
    steps = [split["evaluated_step"] for split in run["splits"]]
    seconds = [split["seconds"] for split in run["splits"]]
    return [
        run["dataset"],
        _MODELS.get(run["model"], run["model"]),
        run["chosen"].replace("_", " "),
        f"{run['num_parameters']:,}",
        f"{statistics.median(steps):,.0f}",
        f"{statistics.median(seconds):.1f}",
    ]


def _uci_caption(runs: Results) -> str:
    candidates = text.joined(len(r["validation_log_likelihoods"]) for r in runs)
    searched = text.joined(run["num_search_splits"] for run in runs)
    steps = text.joined(
        f"{run['config']['training']['num_steps']:,}" for run in runs
    )
    return (
        "Test -ln p in nats per row, lower is better, of targets standardised "
        "by the rows that are not for testing ([config](configs/uci_density.py)"
        "): mean and its standard error over 20 splits, published ones for "
        "concrete and energy; the rows are those for training, validation and "
        "test. As an ensemble: the same runs and others from further seeds, "
        "as many as in brackets; the density is the mean of theirs. Below: the "
        "settings, of "
        f"{candidates} that every model could have, with the best validation "
        f"rows of the first {searched} splits, and medians over the splits of "
        f"the step that validation chose, of at most {steps}, and of the "
        "seconds of a training; then what each setting alone changes of the "
        "log-likelihood of these validation rows, in nats, higher is better. "
        "For a single target MAF is Gaussian. NF is "
        "Rezende & Mohamed's and DDN that of Chen et al. (2022), as a page of "
        "benchmarks quotes them, on splits that are not known; CDF-first is of "
        "arXiv 2603.25204 (2026), quoted too. "
        f"{text.provenance(runs)}"
    )


def made(results: Results) -> str:
    """MADE on statically binarised MNIST.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    runs = [run for run in results if run.get("experiment") == "made"]
    if not runs:
        return "Not measured: no results.json of `trainers.sweeps.made`."

    def size(run: Run) -> tuple[Any, ...]:
        model = run["config"]["model"]
        units = tuple(model["hidden_units"])
        # Those of before there was a choice.
        order = model.get("order", "raster")
        if not model.get("direct_connections", False):
            order += ", no direct connections"
        return len(units), model["num_masks"], units, order, run["seed"]

    header = [
        *("hidden units", "sets of masks", "order of the pixels", "seed"),
        *("weights", "-ln p"),
        *("validation", "epoch", "ms"),
    ]
    rows = []
    for run in sorted(runs, key=size):
        _, num_masks, units, order, seed = size(run)
        training = run["config"]["training"]
        epoch = run["protocol"]["num_train"] // training["batch_size"]
        error = run["log_likelihood_standard_error"]
        rows.append(
            [
                " + ".join(f"{n:,}" for n in units),
                num_masks,
                order,
                seed,
                f"{run['num_parameters']:,}",
                f"{-run['log_likelihood']:.2f} ± {error:.2f}",
                f"{-run['best_validation_log_likelihood']:.2f}",
                f"{run['evaluated_step'] / epoch:.0f}",
                f"{1e3 * run['seconds_per_step']:.1f}",
            ]
        )
    sizes = runs[0]["protocol"]
    return "\n".join(
        [
            *text.table(header, rows, 0),
            "",
            "Test -ln p in nats per image and its standard error over the "
            f"{sizes['num_test']:,} test images, lower is better "
            "([config](configs/binarized_mnist.py)), with the weights of the "
            "best validation; beside it that, its epoch and the median step. "
            "Germain et al. (2015) have 88.40 for one hidden layer and one set "
            "of masks, 88.04 for 32 sets, and 89.59 and 86.64 for two layers, "
            "quoted from memory. "
            f"{text.provenance(runs)}",
        ]
    )
