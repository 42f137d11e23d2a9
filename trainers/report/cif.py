"""The table of README.md on continuously-indexed flows over images."""

import collections
import statistics
from collections.abc import Sequence
from typing import Any

from trainers.report import text
from trainers.report.image_runs import protocols

__all__ = ["cif_images"]

Results = Sequence[dict[str, Any]]

_MODELS = ("VAE", "splines", "CIF of splines")
# References, not measured here: ln p(x), S = 100, in nats, as published.
_PAPER = {
    "mnist": ("-87.37 ± 0.15", "-82.95 ± 0.11", "-82.22 ± 0.13"),
    "fashion_mnist": ("-217.82 ± 0.07", "-215.45 ± 0.08", "-214.50 ± 0.11"),
}


def _model(run: dict[str, Any]) -> str:
    if run["posterior"] == "cif":
        return _MODELS[2]
    return _MODELS[0] if run["flow"] == "none" else _MODELS[1]


def cif_images(results: Results) -> str:
    """The VAE, its splines and their CIF on each data set.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    runs = [
        run
        for run in results
        if run.get("experiment") == "dlgm" and run.get("recipe") == "cif"
    ]
    if not runs:
        return "Not measured: no results.json of `trainers.sweeps.cif`."
    groups = collections.defaultdict(list)
    for run in runs:
        groups[run["dataset"], _MODELS.index(_model(run))].append(run)
    few = text.joined(run["fewer_importance_samples"] for run in runs)
    many = text.joined(f"{run['num_importance_samples']:,}" for run in runs)
    header = [
        *("data set", "posterior", "weights", "seeds"),
        *("bound", f"ln p(x), S = {few}", f"S = {many}"),
        *("paper, S = 100", "steps", "ms"),
    ]
    rows = [
        _row(group, dataset, model)
        for (dataset, model), group in sorted(
            groups.items(), key=lambda item: (item[0][0] != "mnist", item[0])
        )
    ]
    return "\n".join([*text.table(header, rows, 2), "", _caption(runs)])


def _row(runs: Results, dataset: str, model: int) -> list[str]:
    def over_seeds(name_of: Any) -> str:
        return text.mean_and_error([run[name_of(run)] for run in runs])

    published = _PAPER.get(dataset)
    seconds = [run["seconds_per_step"] or 0.0 for run in runs]
    steps = [run["evaluated_step"] for run in runs]
    return [
        dataset,
        _MODELS[model],
        text.joined(f"{run['num_parameters']:,}" for run in runs),
        text.joined(run["seed"] for run in runs),
        over_seeds(lambda run: run["bound"]),
        over_seeds(lambda run: f"iwae_{run['fewer_importance_samples']}"),
        over_seeds(lambda run: f"iwae_{run['num_importance_samples']}"),
        published[model] if published else "-",
        f"{min(steps):,} to {max(steps):,}",
        f"{1e3 * statistics.median(seconds):.1f}",
    ]


def _caption(runs: Results) -> str:
    unfinished = sum(run["unfinished"] for run in runs)
    most = max(run["num_planned_steps"] for run in runs)
    return (
        "Nats per image, higher is better: means over seeds and their standard "
        "errors, of means over all test images. The bound is the ELBO, of a "
        "CIF the lower one that it is trained by, with "
        f"{text.joined(run['num_elbo_samples'] for run in runs)} samples of "
        "each image; ln p(x) is by importance sampling, of a CIF with joint "
        "weights of z and u. Steps are those of the weights with the best "
        f"validation, of at most {most:,}"
        + (f" ({unfinished} runs unfinished)" if unfinished else "")
        + "; the ms are the median step. Published: the mean of three runs and "
        f"its error. {protocols(runs)} {text.provenance(runs)}"
    )
