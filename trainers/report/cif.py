"""The tables on continuously-indexed flows over images."""

import collections
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from trainers.report import image_runs, text

__all__ = ["cif_images"]

Run = dict[str, Any]
Results = Sequence[Run]

_MODELS = ("VAE", "splines", "CIF of splines")
# References, not measured here: ln p(x), S = 100, in nats, as published, and
# its error, of each model.
_PAPER = {
    "mnist": ((-87.37, 0.15), (-82.95, 0.11), (-82.22, 0.13)),
    "fashion_mnist": ((-217.82, 0.07), (-215.45, 0.08), (-214.50, 0.11)),
}
# By how many nats of ln p(x), S = 100, a model is to excel the one before.
_WANTED = {("mnist", 1): "at least 2"}

_CAPTION_OF_DIFFERENCES = (
    f"{image_runs.CAPTION_OF_DIFFERENCES} "
    "What a CIF is trained by is a bound on its ELBO, which the difference of "
    "the bounds counts against it. Published are the differences of the means; "
    "wanted is that of ln p(x)."
)


def _model(run: Run) -> int:
    """Which of `_MODELS` it is."""
    if run["posterior"] == "cif":
        return 2
    return 0 if run["flow"] == "none" else 1


def _few(run: Run) -> str:
    """What the run calls its ln p(x) with fewer importance samples."""
    return f"iwae_{run['fewer_importance_samples']}"


_VALUES = (image_runs.bound_name, _few, image_runs.iwae_name)


def cif_images(results: Results) -> str:
    """The VAE, its splines and their CIF on each data set.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption, then those of paired differences.
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
        groups[run["dataset"], _model(run)].append(run)
    few = text.joined(run["fewer_importance_samples"] for run in runs)
    many = text.joined(f"{run['num_importance_samples']:,}" for run in runs)
    values = ["bound", f"ln p(x), S = {few}", f"S = {many}"]
    header = [
        *("data set", "posterior", "weights", "seeds"),
        *(*values, "paper, S = 100"),
        *("epochs", "of the best", "last slope", "ms"),
    ]
    order = sorted(groups, key=lambda key: (key[0] != "mnist", key))
    rows = [_row(groups[key], *key) for key in order]
    lines = [*text.table(header, rows, 2), "", _caption(runs)]
    rows = [
        row
        for dataset, model in order
        if model > 0
        for row in _difference_rows(
            groups[dataset, model], groups[dataset, model - 1]
        )
    ]
    if rows:
        header = ["data set", "difference", "seed", *values]
        header += ["paper, S = 100", "wanted"]
        lines += ["", *text.table(header, rows, 2), "", _CAPTION_OF_DIFFERENCES]
    return "\n".join(lines)


def _row(runs: Results, dataset: str, model: int) -> list[str]:
    def over_seeds(name_of: Callable[[Run], str]) -> str:
        return text.mean_and_error([run[name_of(run)] for run in runs])

    seconds = [run["seconds_per_step"] or 0.0 for run in runs]
    slopes = [
        run["validation_nats_per_step"] * _steps_per_epoch(run)
        for run in runs
        if run.get("validation_nats_per_step") is not None
    ]
    return [
        dataset,
        _MODELS[model],
        text.joined(f"{run['num_parameters']:,}" for run in runs),
        text.joined(run["seed"] for run in runs),
        *map(over_seeds, _VALUES),
        _published(dataset, model),
        *(
            _range([run[name] / _steps_per_epoch(run) for run in runs], ".0f")
            for name in ("num_steps", "evaluated_step")
        ),
        _range(slopes, "+.4f") if len(slopes) == len(runs) else "-",
        f"{1e3 * statistics.median(seconds):.1f}",
    ]


def _steps_per_epoch(run: Run) -> int:
    num_images = run["protocol"]["num_train"]
    return num_images // run["config"]["training"]["batch_size"]


def _range(values: Sequence[float], form: str) -> str:
    """The lowest and the highest over the seeds."""
    ends = [format(end, form) for end in (min(values), max(values))]
    return " to ".join(dict.fromkeys(ends))


def _published(dataset: str, model: int) -> str:
    if dataset not in _PAPER:
        return "-"
    mean, error = _PAPER[dataset][model]
    return f"{mean:.2f} ± {error:.2f}"


def _published_difference(dataset: str, model: int) -> str:
    """That of a model to the one before."""
    if dataset not in _PAPER:
        return "-"
    (a, error_a), (b, error_b) = _PAPER[dataset][model - 1 : model + 1]
    return f"{b - a:+.2f} ± {math.hypot(error_a, error_b):.2f}"


def _difference_rows(runs: Results, others: Results) -> list[list[Any]]:
    """Of one model to another: for each seed, then over the seeds."""
    pairs = [
        (run, other)
        for run in sorted(runs, key=lambda run: run["seed"])
        for other in others
        if "per_image" in run
        and "per_image" in other
        and _conditions(run) == _conditions(other)
    ]
    if not pairs:
        return []
    run, other = pairs[0]
    dataset, model = run["dataset"], _model(run)
    words = [dataset, f"{_MODELS[model]} - {_MODELS[_model(other)]}"]
    references = [
        _published_difference(dataset, model),
        _WANTED.get((dataset, model), "-"),
    ]
    return [
        [*words, *row, *references]
        for row in image_runs.difference_rows(pairs, _VALUES)
    ]


def _conditions(run: Run) -> tuple[Any, ...]:
    """What models share that are compared; early stopping ends them apart."""
    return (
        *image_runs.evaluation(run),
        run["fewer_importance_samples"],
        run["num_planned_steps"],
    )


def _caption(runs: Results) -> str:
    unfinished = sum(run["unfinished"] for run in runs)
    most = max(run["num_planned_steps"] for run in runs)
    is_noted = all("validation_nats_per_step" in run for run in runs)
    every = text.joined(_steps_per_epoch(run) for run in runs)
    return (
        "Nats per image, higher is better: means over seeds and their standard "
        "errors, of means over all test images. The bound is the ELBO, of a "
        "CIF the lower one that it is trained by, with "
        f"{text.joined(run['num_elbo_samples'] for run in runs)} samples of "
        "each image; ln p(x) is by importance sampling, of a CIF with joint "
        f"weights of z and u. Epochs of {every} steps until early stopping, of "
        f"at most {most:,} steps"
        + (f" ({unfinished} runs unfinished)" if unfinished else "")
        + ", and until the best validation, whose weights are evaluated. The "
        "last slope is what the bound on the validation images still gained an "
        "epoch, by least squares over the last tenth of the training"
        + ("" if is_noted else " (`-`: not noted by earlier versions)")
        + "; the ms are the median step. Published: the mean of three runs and "
        f"its error. {image_runs.protocols(runs)} {text.provenance(runs)}"
    )
