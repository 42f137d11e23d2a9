"""README's figures: what nobody else has, and the results on one screen."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from trainers.report import densities, text
from trainers.report.benchmarks import newest
from trainers.report.image_runs import (
    flow_in_words,
    iwae_name,
    trained_dlgms,
)
from trainers.report.posteriors import ess_ratio

__all__ = ["front", "highlights"]

Run = dict[str, Any]
Results = Sequence[Run]

_NOT_MEASURED = "not measured"
_LONG = 80  # K of the long flow


def highlights(results: Results) -> str:
    """Five bullets, each with its figure.

    Args:
      results: contents of results.json files.

    Returns:
      A Markdown list.
    """
    bullets = (
        (
            "**Every flow is a true bijector.** Planar, radial, Sylvester, "
            "autoregressive, neural: all invert arbitrary points, with exact "
            "log-dets and implicit gradients, under eager, `tf.function`, XLA, "
            "`vectorized_map` and nested tapes. Largest error of a round trip "
            f"at D = 64 in float32: {_round_trip(results)}."
        ),
        (
            "**Long flows compile as fast as short ones.** `Scan` rolls K "
            "steps into one loop: the first training step of a VAE with K = "
            f"{_LONG} under XLA takes {_first_step(results)}."
        ),
        (
            "**Keras trains it, and nothing is lost.** `model.fit` with "
            "checked inputs and measured defaults; a command line that goes on "
            "after `kill -9` with bitwise the same numbers, at "
            f"{_trainer(results)} of the speed of the bare compiled step."
        ),
        (
            "**A posterior says how good it is.** Free energy, Pareto's k-hat "
            "and log evidence with standard errors; where a surrogate is not "
            "enough, HMC through the flow: on Neal's funnel "
            f"{_funnel(results)}."
        ),
        (
            "**log p(x) at scale.** Importance sampling that encodes each "
            "image once and whose memory does not grow with the samples: "
            f"{_log_p(results)}."
        ),
    )
    return "\n".join(f"- {bullet}" for bullet in bullets)


def _round_trip(results: Results) -> str:
    run = newest(results, "flow_costs")
    if run is None:
        return _NOT_MEASURED
    errors = [
        case["round_trip_error"]
        for case in run["cases"]
        if case["event_size"] == 64
    ]
    return f"{max(errors):.0e}, over {len(errors)} flows"


def _first_step(results: Results) -> str:
    run = newest(results, "long_flow")
    if run is None:
        return _NOT_MEASURED
    seconds, memory = {}, {}
    for case in run["cases"]:
        if case["num_flow_steps"] == _LONG and case["mode"] == "xla":
            name = case["variant"]
            seconds[name] = case["first_step_seconds"]["median"]
            memory[name] = case["peak_memory_mib"]["median"]
    return (
        f"{seconds['scan']:.1f} s and {memory['scan']:,.0f} MiB, that of a "
        f"`tfb.Chain` {seconds['chain']:.1f} s and {memory['chain']:,.0f} MiB"
    )


def _trainer(results: Results) -> str:
    run = newest(results, "training")
    if run is None:
        return _NOT_MEASURED
    worst = min(case["ratios"]["loop"] for case in run["cases"])
    return f"{100 * worst:.0f} %"


def _funnel(results: Results) -> str:
    ratio = ess_ratio(results)
    if ratio is None:
        return _NOT_MEASURED
    return (
        f"{ratio:.0f} times the effective samples per gradient of plain HMC, "
        "training included"
    )


def _log_p(results: Results) -> str:
    run = newest(results, "marginal_likelihood")
    if run is None:
        return _NOT_MEASURED
    case = max(run["cases"], key=lambda case: case["num_flow_steps"])
    return (
        f"{case['ratio']:.1f} times as fast as encoding for every sample, at K "
        f"= {case['num_flow_steps']}"
    )


def front(results: Results) -> str:
    """One row for each experiment: the best of it, beside what is published.

    Args:
      results: contents of results.json files.

    Returns:
      A Markdown table and its caption.
    """
    header = ["experiment", "here", "measured", "published"]
    rows = [row for make in _ROWS if (row := make(results)) is not None]
    caption = (
        "Nats with standard errors. Protocols, seeds, hardware, commits and "
        "what did not work are on [the pages of results](docs/results.md). "
        "Published figures are quoted, some on other splits or binarisations: "
        "the pages say which."
    )
    return "\n".join([*text.table(header, rows), "", caption])


def _energies(results: Results) -> list[str] | None:
    runs = [
        run
        for run in results
        if (run.get("experiment"), run.get("flow")) == ("energy", "planar")
        and run["num_flow_steps"] == 32
    ]
    if not runs:
        return None
    names = sorted({run["target"] for run in runs})
    medians = (
        statistics.median(r["kl"] for r in runs if r["target"] == name)
        for name in names
    )
    return [
        f"energies {', '.join(name.upper() for name in names)}",
        "planar, K = 32",
        f"KL {', '.join(f'{median:.4f}' for median in medians)}",
        "figures only (Rezende & Mohamed 2015)",
    ]


def _mnist(results: Results) -> list[str] | None:
    runs = [
        run
        for run in trained_dlgms(results)
        if (run["dataset"], run.get("recipe")) == ("mnist", "modern")
    ]
    if not runs:
        return None
    best = max(runs, key=lambda run: run[iwae_name(run)])
    error = best[f"{iwae_name(best)}_standard_error"]
    return [
        "MNIST, binarised anew",
        flow_in_words(best).replace("none", "no flow"),
        f"-ln p {-best[iwae_name(best)]:.2f} ± {error:.2f}",
        "85.1, planar, K = 80 (Rezende & Mohamed 2015)",
    ]


def _made(results: Results) -> list[str] | None:
    runs = [run for run in results if run.get("experiment") == "made"]
    if not runs:
        return None
    best = max(runs, key=lambda run: run["log_likelihood"])
    error = best["log_likelihood_standard_error"]
    return [
        "MNIST, binarised once",
        best["model"],
        f"-ln p {-best['log_likelihood']:.2f} ± {error:.2f}",
        "88.40, of 8,000 units (Germain et al. 2015)",
    ]


def _planar_data(results: Results) -> list[str] | None:
    kls = {
        name: [
            run["kl"]
            for run in results
            if run.get("experiment") == "density_2d"
            and run["dataset"] == name
            and run["config"]["model"]["flow"] == "spline_coupling"
        ]
        for name in ("checkerboard", "eight_gaussians")
    }
    if not all(kls.values()):
        return None
    words = (
        f"{name.replace('_', ' ')} {statistics.mean(values):.3f}"
        for name, values in kls.items()
    )
    return [
        "densities of the plane",
        "neural splines, K = 4",
        f"above the entropy: {', '.join(words)}",
        "-",
    ]


def _tables(results: Results) -> list[str] | None:
    runs = {
        run["dataset"]: run
        for run in results
        if run.get("experiment") == "uci_density_sweep"
        and run["model"] == "nsf"
    }
    if not runs:
        return None
    names = [name for name in densities.TABLES if name in runs]
    means = (
        statistics.mean(-split["log_likelihood"] for split in runs[n]["splits"])
        for n in names
    )
    return [
        f"conditional densities: {', '.join(names)}",
        "neural splines",
        f"-ln p {', '.join(f'{mean:.2f}' for mean in means)}",
        ", ".join(densities.best_published(name) for name in names),
    ]


def _simulators(results: Results) -> list[str] | None:
    runs = [run for run in results if run.get("experiment") == "sbibm"]
    if not runs:
        return None
    most = max(run["config"]["data"]["num_simulations"] for run in runs)
    runs = [
        run for run in runs if run["config"]["data"]["num_simulations"] == most
    ]
    runs.sort(key=lambda run: run["dataset"])
    words = (
        f"{run['dataset'].replace('_', ' ')} {run['mean_c2st']:.3f}"
        for run in runs
    )
    return [
        f"posteriors of simulators, {most:,} simulations",
        "neural splines",
        f"C2ST (0.5 is the best): {', '.join(words)}",
        "-",
    ]


_ROWS: tuple[Callable[[Results], list[str] | None], ...] = (
    _energies,
    _mnist,
    _made,
    _planar_data,
    _tables,
    _simulators,
)
