"""Tables of the runs on images, from their results.json files."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from trainers.report import text
from trainers.report.image_runs import (
    annealing_name,
    annealing_steps,
    bound_name,
    conditions,
    difference,
    flow_in_words,
    iwae_name,
    mean_over_images,
    measured,
    over_seeds,
    posterior_in_brief,
    prior_in_brief,
    protocols,
    trained_dlgms,
)

__all__ = ["digits", "mnist"]

Results = Sequence[dict[str, Any]]

# References, not measured here: K -> F / -ln p(x) in nats, as published.
_PAPER = {
    0: "96.75 / 89.9",
    10: "93.56 / 87.5",
    20: "91.95 / 86.5",
    40: "90.62 / 85.7",
    80: "89.59 / 85.1",
}
_RE_RUN = {
    0: "96.99 / 92.39",
    10: "93.97 / 89.95",
    20: "93.02 / 89.32",
    40: "92.47 / 88.92",
    80: "92.21 / 88.74",
}
_REFERENCES = {
    "Rezende & Mohamed (2015): -ln p from table 2, F read off figure 4": (
        "binarised MNIST, 60,000 / 10,000; of which kind, the paper leaves "
        "open, and others cite it as static",
        _PAPER,
    ),
    "[re-run](https://github.com/bbyiringiro/"
    "Advanced-Topics-in-Machine-Learning-ATML_HT22--Flows) by others of the "
    "paper's set-up": (
        "dynamic, for training and for test images",
        _RE_RUN,
    ),
}


class _Difference(NamedTuple):
    """Of two models, image by image: the flow's minus that without one.

    The flow is `of` the "posterior", or of the "prior".
    """

    of: str
    without: dict[str, Any]
    with_flow: dict[str, Any]
    elbo: np.ndarray
    iwae: np.ndarray


def _differences(runs: Results) -> list[_Difference]:
    """All pairs of a flow and no flow with values for every image.

    First those of posteriors, of runs with a standard normal prior, then those
    of priors, of runs with equal posteriors.
    """
    runs = [run for run in runs if "per_image" in run]
    none = ("none", 0)
    pairs = []
    for of, part, other in (
        ("posterior", posterior_in_brief, prior_in_brief),
        ("prior", prior_in_brief, posterior_in_brief),
    ):
        for with_flow in (run for run in runs if part(run) != none):
            if of == "posterior" and other(with_flow) != none:
                continue
            for without in (run for run in runs if part(run) == none):
                if (*conditions(without), other(without)) == (
                    *conditions(with_flow),
                    other(with_flow),
                ):
                    pairs.append(
                        _Difference(
                            of,
                            without,
                            with_flow,
                            difference(with_flow, without, bound_name),
                            difference(with_flow, without, iwae_name),
                        )
                    )
    return pairs


def digits(results: Results) -> str:
    """Flow minus no flow on the digits, image by image, for every seed.

    Hamiltonian bridges have a table of their own.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    pairs = [
        pair
        for pair in _differences(
            [
                run
                for run in trained_dlgms(results)
                if run["dataset"] == "digits"
                and run.get("posterior") != "hamiltonian"
            ]
        )
        if pair.of == "posterior"
    ]
    if not pairs:
        return "Not measured: no pair of runs with a flow and without."
    pairs.sort(key=lambda p: (flow_in_words(p.with_flow), p.with_flow["seed"]))
    first = pairs[0].with_flow
    iwae = iwae_name(first)
    header = [
        "flow",
        "seed",
        "ELBO, no flow",
        "ELBO, flow",
        "ELBO, flow - none",
        f"{iwae}, no flow",
        f"{iwae}, flow",
        f"{iwae}, flow - none",
    ]
    rows: list[list[Any]] = []
    for flow in dict.fromkeys(flow_in_words(pair.with_flow) for pair in pairs):
        group = [
            pair for pair in pairs if flow_in_words(pair.with_flow) == flow
        ]
        for pair in group:
            rows.append(
                [
                    flow,
                    pair.with_flow["seed"],
                    measured(pair.without, bound_name(pair.without)),
                    measured(pair.with_flow, bound_name(pair.with_flow)),
                    mean_over_images(pair.elbo),
                    measured(pair.without, iwae),
                    measured(pair.with_flow, iwae),
                    mean_over_images(pair.iwae),
                ]
            )
        if len(group) > 1:
            rows.append([flow, "all", *_overall(group)])
    runs = [run for pair in pairs for run in (pair.without, pair.with_flow)]
    caption = (
        f"Nats per image, higher is better, after {first['num_steps']:,} steps "
        "([config](configs/digits.py)): means over the "
        f"{len(pairs[0].elbo)} test images ± their standard error, with "
        f"{first['num_elbo_samples']} samples of each image for the ELBO and "
        f"{first['num_importance_samples']:,} for {iwae}. Differences are "
        "paired: same test images, same noise, same seed. In the rows `all` "
        "the first ± is the standard error over the images of the mean of the "
        "seeds, the one in brackets that over the seeds. "
        f"{protocols(runs)} {text.provenance(runs)}"
    )
    return "\n".join([*text.table(header, rows, 1), "", caption])


def _overall(group: Sequence[_Difference]) -> list[str]:
    """Cells of the row `all`: both errors of the mean over the seeds."""
    cells = []
    for attribute, name in (("elbo", bound_name), ("iwae", iwae_name)):
        for side in ("without", "with_flow"):
            of_side = [getattr(pair, side) for pair in group]
            values = [run[name(run)] for run in of_side]
            cells.append(f"{np.mean(values):.2f}")
        images, error = over_seeds([getattr(pair, attribute) for pair in group])
        cells.append(f"**{mean_over_images(images)}** (± {error:.3f})")
    return cells


def mnist(results: Results) -> str:
    """All runs on MNIST and the like, and what others have published.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      Markdown tables and their captions.
    """
    runs = [
        run
        for run in trained_dlgms(results)
        if run["dataset"] != "digits" and run["recipe"] != "cif"
    ]
    if not runs:
        return "Not measured: no results.json of these data sets."
    runs.sort(
        key=lambda run: (
            run["dataset"],
            run["recipe"],
            run["num_stochastic_layers"],
            run["num_flow_steps"],
            run["flow"],
            prior_in_brief(run),
            run["seed"],
        )
    )
    header = [
        "data set",
        "recipe",
        "flow",
        "steps",
        "weights",
        "seed",
        "F = -ELBO",
        "-ln p(x)",
        "S, images",
        "KL",
        "parameters",
        "ms / step",
    ]
    lines = text.table(header, map(_row, runs), num_words=5)
    lines += [
        "",
        "Nats per image on the test split, lower is better, ± the standard "
        "error over the images: F on all test images with "
        f"{_joined(run['num_elbo_samples'] for run in runs)} samples of each; "
        "-ln p(x) by importance sampling, S samples of each of the first test "
        "images; ms / step is the median while training. "
        f"{_auxiliary(runs)}"
        f"{_annealed(runs)}{protocols(runs)} {text.provenance(runs)}",
    ]
    for pair in _differences(runs):
        lines += ["", _sentence(pair)]
    lines += ["", *_references()]
    return "\n".join(lines)


def _auxiliary(runs: Results) -> str:
    if all(bound_name(run) == "elbo" for run in runs):
        return ""
    return (
        "Of CIFs and of posteriors with bridges, which have no density, F and "
        "KL are the upper bounds that they are trained by. "
    )


def _annealed(runs: Results) -> str:
    lengths = [
        annealing_steps(run) for run in runs if annealing_name(run) == "kl"
    ]
    if not lengths:
        return ""
    return (
        "KL annealed: while training, the weight of the KL divergence rises "
        f"from 0 to 1 over the first {_joined(lengths)} steps, the default "
        "where there is a flow; rows without it are of "
        "`--config.training.annealing=none`. "
    )


def _joined(numbers: Iterable[int]) -> str:
    return ", ".join(f"{number:,}" for number in sorted(set(numbers)))


def _row(run: dict[str, Any]) -> list[str]:
    iwae = iwae_name(run)
    recipe = run["recipe"]
    if run["num_stochastic_layers"] > 1:
        recipe += f", L = {run['num_stochastic_layers']}"
    weights = "last"
    if run["evaluated_weights"] != "newest":
        weights = f"best validation, step {run['evaluated_step']:,}"
    seconds = run["seconds_per_step"]
    return [
        run["dataset"],
        recipe,
        flow_in_words(run),
        _steps(run),
        weights,
        str(run["seed"]),
        measured(run, bound_name(run), sign=-1),
        measured(run, iwae, sign=-1),
        f"{run['num_importance_samples']:,}, {run['num_iwae_images']:,}",
        measured(run, bound_name(run).replace("elbo", "kl")),
        f"{run['num_parameters']:,}",
        "-" if seconds is None else f"{1e3 * seconds:.1f}",
    ]


def _steps(run: dict[str, Any]) -> str:
    """How many; of how many, and with its curve, if it is not finished."""
    steps = f"{run['num_steps']:,}"
    if run["stopped_early"]:
        return f"{steps} (stopped early)"
    if not run["unfinished"]:
        return steps
    curve = run.get("pictures", {}).get("learning_curve")
    label = f"[unfinished]({curve})" if curve else "unfinished"
    return f"{steps} of {run['num_planned_steps']:,}, **{label}**"


def _sentence(pair: _Difference) -> str:
    run = pair.with_flow
    without = "no flow" if pair.of == "posterior" else "a standard normal prior"
    if annealing_name(pair.without) == "kl":
        without += ", KL annealed too"
    return (
        f"{run['dataset']}, {run['recipe']}, seed {run['seed']}, "
        f"{flow_in_words(run)} minus {without}, paired over the same images "
        "and noise: ELBO "
        f"{mean_over_images(pair.elbo)}, ln p(x) {mean_over_images(pair.iwae)}."
    )


def _references() -> list[str]:
    lengths = sorted(_PAPER)
    rows = [
        [source, images, *(values[k] for k in lengths)]
        for source, (images, values) in _REFERENCES.items()
    ]
    return [
        *text.table(
            ["published: F / -ln p(x)", "MNIST images"]
            + [f"K = {k}" for k in lengths],
            rows,
            num_words=2,
        ),
        "",
        "Published figures for orientation, with S = 200, 500,000 updates and "
        "the set-up of `recipe=paper`. Protocols of binarisation differ by "
        "nats: only runs of one protocol can be compared.",
    ]
