"""What the tables of runs on images share: names, bounds and differences."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = [
    "CAPTION_OF_DIFFERENCES",
    "annealing_name",
    "annealing_steps",
    "bound_name",
    "conditions",
    "difference",
    "difference_rows",
    "evaluation",
    "flow_in_words",
    "interval",
    "iwae_name",
    "mean_over_images",
    "measured",
    "over_seeds",
    "posterior_in_brief",
    "prior_in_brief",
    "protocols",
    "trained_dlgms",
]

Run = dict[str, Any]
Results = Sequence[Run]

CAPTION_OF_DIFFERENCES = (
    "Differences are in nats: means over the test images of those on the same "
    "image, for models of the same seed, and in brackets their intervals of "
    "95 %, from the images' paired standard error. In the rows `all` seeds are "
    "averaged first, and behind ± is the standard error over the seeds."
)

_SCHEDULES = {
    "NoAnnealing": "none",
    "JointAnnealing": "joint",
    "KLAnnealing": "kl",
}


def trained_dlgms(results: Results) -> list[Run]:
    """The runs on images, but those that compare the library's defaults."""
    return [
        run
        for run in results
        if run.get("experiment") == "dlgm" and run.get("group") != "defaults"
    ]


def bound_name(run: Run) -> str:
    """What the run calls its ELBO, or the bound on it."""
    return run.get("bound", "elbo")


def iwae_name(run: Run) -> str:
    """What the run calls its ln p(x) with the most importance samples."""
    return f"iwae_{run['num_importance_samples']}"


def posterior_in_brief(run: Run) -> tuple[str, int]:
    """Its flow and how many steps that has, or its kind in words."""
    name = run["flow"]
    if run.get("posterior", "flow") != "flow":
        name = run["posterior_in_words"]
    return name, run["num_flow_steps"]


def prior_in_brief(run: Run) -> tuple[str, int]:
    """The prior's flow and how many steps that has."""
    return run.get("prior", "none"), run.get("num_prior_steps", 0)


def annealing_name(run: Run) -> str:
    """How the free energy was annealed: none, joint or kl."""
    if "annealing" in run:  # what "auto" stood for
        return _SCHEDULES[run["annealing"]["name"]]
    return run.get("config", {}).get("training", {}).get("annealing", "none")


def annealing_steps(run: Run) -> int:
    """How many updates were annealed, if any."""
    of_run = run.get("annealing", {}).get("num_steps")
    return of_run or run["config"]["training"]["annealing_steps"]


def flow_in_words(run: Run) -> str:
    """The posterior's flow and, where they apply, the prior's and annealing."""
    parts = [_name(*posterior_in_brief(run))]
    prior = _name(*prior_in_brief(run))
    if prior != "none":
        parts.append(f"prior {prior}")
    if annealing_name(run) == "kl":
        parts.append("KL annealed")
    return "; ".join(parts)


def _name(flow: str, num_steps: int) -> str:
    is_in_words = flow == "none" or " " in flow
    return flow if is_in_words else f"{flow}, K = {num_steps}"


def evaluation(run: Run) -> tuple[Any, ...]:
    """What two runs must share to be compared image by image."""
    return (
        run["dataset"],
        run["seed"],
        run["num_elbo_samples"],
        run["num_importance_samples"],
        run["num_iwae_images"],
        sorted((k, str(v)) for k, v in run["protocol"].items()),
    )


def conditions(run: Run) -> tuple[Any, ...]:
    """What two runs must share to differ in posterior and prior alone."""
    return (
        *evaluation(run),
        run["recipe"],
        run["num_stochastic_layers"],
        run["num_steps"],
        annealing_name(run),
    )


def difference(run: Run, other: Run, of: Callable[[Run], str]) -> np.ndarray:
    """The run's value of each image minus the other's.

    Args:
      run: with `per_image`.
      other: on the same images.
      of: from a run to the name of the value, such as `bound_name`.
    """
    a, b = (r["per_image"][of(r)].astype(np.float64) for r in (run, other))
    return a - b


def mean_over_images(values: np.ndarray) -> str:
    """The mean over the images with its standard error."""
    return f"{values.mean():+.3f} ± {_error(values):.3f}"


def interval(values: np.ndarray) -> str:
    """The mean over the images with its interval of 95 %."""
    mean, half = values.mean(), 1.96 * _error(values)
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def over_seeds(differences: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """The mean of each image, and the standard error of the seeds' means."""
    stacked = np.stack(differences)
    return stacked.mean(axis=0), _error(stacked.mean(axis=1))


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def difference_rows(
    pairs: Sequence[tuple[Run, Run]], values: Sequence[Callable[[Run], str]]
) -> list[list[Any]]:
    """The seed of each pair and its intervals; then those over the seeds.

    Args:
      pairs: a run and the other, of which its differences are.
      values: from a run to the name of one, for each column.
    """
    differences = [[difference(*pair, of) for of in values] for pair in pairs]
    rows = [
        [run["seed"], *map(interval, columns)]
        for (run, _), columns in zip(pairs, differences, strict=True)
    ]
    if len(pairs) > 1:
        overall = map(over_seeds, zip(*differences, strict=True))
        rows.append(
            ["all"]
            + [
                f"**{interval(images)}**, ± {error:.3f}"
                for images, error in overall
            ]
        )
    return rows


def measured(run: Run, name: str, sign: int = 1) -> str:
    """A mean over the images, as the run's results.json has it."""
    error = run[f"{name}_standard_error"]
    return f"{sign * run[name]:.2f} ± {error:.2f}"


def protocols(runs: Results) -> str:
    """Sizes of the splits and how images became binary."""
    texts = []
    for run in runs:
        p = run["protocol"]
        training, others = (
            re.sub(r"^that of", "as in", p[f"{kind}_binarization"])
            for kind in ("training", "evaluation")
        )
        texts.append(
            f"{run['dataset']}, {run['recipe']}: {p['num_train']:,} / "
            f"{p['num_validation']:,} / {p['num_test']:,} images for training, "
            f"validation and test; training images {training}, the others "
            f"{others}"
        )
    return ". ".join(dict.fromkeys(texts)) + "."
