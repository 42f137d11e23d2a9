"""The table of what the library's defaults are chosen by."""

import fractions
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from trainers.report import text

__all__ = ["defaults"]

Results = Sequence[dict[str, Any]]


class _Settings(NamedTuple):
    """What a run took, of its own or by default."""

    scale: float
    estimator: str
    share: fractions.Fraction  # of its updates that are annealed


def defaults(results: Results) -> str:
    """Runs with the library's defaults, and those with other settings.

    Args:
      results: contents of results.json files; those of the group "defaults"
        are taken.

    Returns:
      Markdown tables and their caption.
    """
    runs = [run for run in results if run.get("group") == "defaults"]
    library = {_place(run): run for run in runs if _is_library(run)}
    if not library:
        return "Not measured: no results.json of the library's defaults."
    datasets = list(dict.fromkeys(run["dataset"] for run in library.values()))
    flows = sorted(
        {_flow(run) for run in library.values()},
        key=lambda flow: (flow != "none", flow),
    )
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for flow in flows:
        for dataset in datasets:
            ours = [
                run
                for run in library.values()
                if (run["dataset"], _flow(run)) == (dataset, flow)
            ]
            if ours:
                row = rows.setdefault((flow, "**the defaults**"), {})
                row[dataset] = _absolute(ours)
        groups: dict[tuple[str, str], list[Any]] = {}
        for run in runs:
            default = library.get(_place(run))
            if _flow(run) == flow and default and not _is_library(run):
                key = run["dataset"], _changes(run, default)
                groups.setdefault(key, []).append((run, default))
        for (dataset, changes), pairs in groups.items():
            row = rows.setdefault((flow, changes), {})
            row[dataset] = _difference(pairs)
    header = ["flow", "settings", *datasets]
    cells = [
        [*key, *(row.get(dataset, "-") for dataset in datasets)]
        for key, row in rows.items()
    ]
    return "\n".join(
        [*text.table(header, cells, num_words=2), "", _caption(runs)]
    )


def _caption(runs: Results) -> str:
    lengths = "; ".join(
        f"{dataset}: "
        + text.joined(
            f"{run['num_steps']:,} updates, S = "
            f"{run['config']['evaluation']['num_importance_samples']:,}, "
            f"{run['num_iwae_images']:,} images"
            for run in runs
            if run["dataset"] == dataset
        )
        for dataset in dict.fromkeys(run["dataset"] for run in runs)
    )
    return (
        "Nats per test image, higher is better: ELBO / ln p(x). In the rows of "
        "the defaults ± is the standard error over the images; below them "
        "stand the differences of other settings to them, ± the standard "
        "error over the images of these, which were binarised once for all "
        "and are evaluated on equal noise; several seeds are averaged. The "
        "trainings are short: [those of full "
        "length](docs/results.md#mnist) show what flows reach. "
        "ELBO of all test images with 16 samples of each or more, also "
        "where 5 samples are trained on; ln p(x) of the first ones by S "
        f"importance samples: {lengths}. {text.provenance(runs)}"
    )


def _is_library(run: dict[str, Any]) -> bool:
    return run["config"]["training"]["annealing"] == "auto"


def _place(run: dict[str, Any]) -> tuple[Any, ...]:
    """What a run shares with that of the library's defaults."""
    num_samples = run["config"]["training"]["num_importance_samples"]
    return run["dataset"], run["flow"], num_samples, run["seed"]


def _flow(run: dict[str, Any]) -> str:
    num_samples = run["config"]["training"]["num_importance_samples"]
    return run["flow"] + (f", {num_samples} samples" if num_samples > 1 else "")


def _settings(run: dict[str, Any]) -> _Settings:
    training = run["config"]["training"]
    scale = run["config"]["posterior"]["context_scale"]
    if scale is None:
        scale = next(iter(run["context_scales"]), 1.0)
    num_annealed = 0
    if _is_library(run):
        num_annealed = run["annealing"].get("num_steps", 0)
    elif training["annealing"] != "none":
        num_annealed = training["annealing_steps"]
    share = fractions.Fraction(num_annealed, run["num_steps"])
    estimator = training["gradient_estimator"]
    if estimator == "auto":
        estimator = run["gradient_estimator"]
    return _Settings(scale, estimator, share.limit_denominator(20))


def _changes(run: dict[str, Any], ours: dict[str, Any]) -> str:
    """In which settings a run differs from the library's defaults."""
    taken, default = _settings(run), _settings(ours)
    changes = []
    if run["flow"] != "none" and not math.isclose(taken.scale, default.scale):
        changes.append(_scale(taken.scale, run["num_flow_steps"]))
    if taken.estimator != default.estimator:
        changes.append(f"`{taken.estimator}`")
    if taken.share != default.share:
        changes.append(
            f"KL annealed over {taken.share}" if taken.share else "not annealed"
        )
    return ", ".join(changes) or "the same, said by the config"


def _scale(scale: float, num_steps: int) -> str:
    known = {"1": 1.0, "1 / K": 1 / num_steps, "1 / sqrt(K)": num_steps**-0.5}
    names = [n for n, value in known.items() if math.isclose(value, scale)]
    return f"`context_scale` {names[0] if names else scale}"


def _bounds(run: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    iwae = f"iwae_{run['num_importance_samples']}"
    elbo, log_p = (run["per_image"][name] for name in ("elbo", iwae))
    return elbo.astype(np.float64), log_p.astype(np.float64)


def _absolute(runs: Results) -> str:
    pairs = zip(*(_bounds(run) for run in runs), strict=True)
    return " / ".join(_mean(bounds, "") for bounds in pairs)


def _difference(
    pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]],
) -> str:
    differences = zip(
        *(
            [a - b for a, b in zip(_bounds(run), _bounds(ours), strict=True)]
            for run, ours in pairs
        ),
        strict=True,
    )
    return " / ".join(_mean(values, "+") for values in differences)


def _mean(of_seeds: Iterable[np.ndarray], sign: str) -> str:
    """Over seeds, then images, with the standard error over the images."""
    values = np.mean(list(of_seeds), axis=0)
    error = values.std(ddof=1) / math.sqrt(len(values))
    return f"{values.mean():{sign}.2f} ± {error:.2f}"
