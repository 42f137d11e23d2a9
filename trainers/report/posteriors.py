"""Tables of the surrogate posteriors, and of NeuTra."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainers.report import text

__all__ = [
    "FAMILIES",
    "ess_ratio",
    "neutra",
    "posteriors",
    "worst_moment_error",
]

Results = Sequence[dict[str, Any]]

# What is wanted of a flow, for every variable and seed.
_MEAN_WITHIN = 0.1  # posterior standard deviations
_SD_RATIO = (0.9, 1.1)


def posteriors(results: Results) -> str:
    """How well each family meets each posterior, in the worst of its seeds.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    runs = [run for run in results if run.get("experiment") == "posterior"]
    if not runs:
        return "Not measured: no results.json of `trainers.sweeps.posteriors`."
    # Runs of before stand where there are none with a KL.
    measured = {_place(run) for run in runs if "kl" in run}
    runs = [run for run in runs if "kl" in run or _place(run) not in measured]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault(_place(run), []).append(run)
    names = list(dict.fromkeys(run["target"] for run in runs))
    order = list(FAMILIES)
    rows = [
        _row(group)
        for _, group in sorted(
            groups.items(),
            key=lambda item: (names.index(item[0][0]), order.index(item[0][1])),
        )
    ]
    header = [
        *("posterior, D", "surrogate", "seeds", "means within, sd"),
        *("sd ratios", "wanted", "k-hat", "free energy, nats", "KL, nats"),
        *("resampled: means within", "sd ratios", "parameters"),
        *("gradients", "seconds"),
    ]
    first = runs[0]
    settings = first["settings"]
    sources = dict.fromkeys(f"{run['target']}: {run['source']}" for run in runs)
    caption = (
        "The largest error of a mean over all variables and seeds, in "
        "posterior standard deviations; the smallest and the largest ratio of "
        f"standard deviations; wanted is {_MEAN_WITHIN} and "
        f"[{_SD_RATIO[0]}, {_SD_RATIO[1]}]. Pareto's k-hat of the importance "
        "weights (reliable below 0.7), the free energy, and KL(q || posterior) "
        "= free energy + log evidence, which is known: largest over the seeds. "
        "Resampled: by these weights. Gradients: of the target. Every flow "
        "ends in a trained location and triangular matrix, those of the "
        "full-rank Gaussian, but for those with auxiliary variables, which "
        "begin with one and have an upper bound of their KL here. "
        f"{_steps([run for run in runs if 'kl' in run])}; moments of "
        f"{settings['num_evaluation_samples']:,} samples. "
        f"{_of_before([run for run in runs if 'kl' not in run])}"
        f"{'; '.join(sources)}.{_references(results)}{_exact(results)} "
        f"{text.provenance(runs)}"
    )
    return "\n".join([*text.table(header, rows, 2), "", caption])


FAMILIES = {
    "mean_field": "mean-field Gaussian",
    "full_rank": "full-rank Gaussian",
    "planar": "planar `Scan`, K = 16, full-rank",
    "sylvester": "Sylvester, K = 4, full-rank",
    "iaf": "IAF, K = 2, full-rank",
    "spline_coupling": "coupling splines, K = 4, full-rank",
    "spline": "autoregressive splines, K = 2, full-rank",
    "cif": "CIF of IAF, K = 2, full-rank",
    "hamiltonian": "Hamiltonian, 8 bridges, full-rank",
}


def _of_before(runs: Sequence[dict[str, Any]]) -> str:
    """What rows without a KL are, if there are some."""
    if not runs:
        return ""
    return (
        f"-: not measured by the runs of that time, after {_steps(runs)}, "
        "whose free energies lack constants of their posteriors, so that no KL "
        "follows from them. "
    )


def _steps(runs: Sequence[dict[str, Any]]) -> str:
    """How long the fits were."""
    found = dict.fromkeys(
        f"{run['settings']['num_steps']:,} steps of "
        f"{run['settings']['num_samples']} samples"
        for run in runs
    )
    return " or ".join(found)


def _place(run: dict[str, Any]) -> tuple[str, str]:
    return run["target"], run["family"]


def _row(group: Sequence[dict[str, Any]]) -> list[str]:
    first = group[0]
    error = max(run["largest_mean_error"] for run in group)
    low = min(run["smallest_sd_ratio"] for run in group)
    high = max(run["largest_sd_ratio"] for run in group)
    least, most = _SD_RATIO
    is_met = error <= _MEAN_WITHIN and least <= low <= high <= most
    worst = max(group, key=lambda run: run["free_energy"])
    is_known = all("kl" in run for run in group)
    seconds = sorted(run["seconds"] for run in group)[len(group) // 2]
    return [
        f"{first['target']}, {first['event_size']}",
        FAMILIES[first["family"]],
        text.joined(run["seed"] for run in group),
        f"{error:.3f}",
        f"{low:.3f} to {high:.3f}",
        "met" if is_met else "missed",
        # Runs without a KL had their k-hat of the inverse of the weights.
        f"{max(run['k_hat'] for run in group):.2f}" if is_known else "-",
        f"{worst['free_energy']:.3f} ± "
        f"{worst['free_energy_standard_error']:.3f}",
        f"{worst['kl']:z.4f} ± {worst['kl_standard_error']:.4f}"
        if is_known
        else "-",
        *_resampled(group),
        f"{first['num_parameters']:,}",
        f"{first['num_gradients']:,}" if is_known else "-",
        f"{seconds:.0f}",
    ]


def _resampled(group: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Their errors of means, and ratios of standard deviations."""
    found = [run["resampled"] for run in group if "resampled" in run]
    if len(found) < len(group):
        return "-", "-"
    low = min(errors["smallest_sd_ratio"] for errors in found)
    high = max(errors["largest_sd_ratio"] for errors in found)
    error = max(errors["largest_mean_error"] for errors in found)
    return f"{error:.3f}", f"{low:.3f} to {high:.3f}"


def worst_moment_error(found: dict[str, Any]) -> float:
    """Of means, in standard deviations, and of ratios of these, off 1.

    Args:
      found: largest errors, of draws or of resampled ones.
    """
    return max(
        found["largest_mean_error"],
        1.0 - found["smallest_sd_ratio"],
        found["largest_sd_ratio"] - 1.0,
    )


def _exact(results: Results) -> str:
    """How far the moments of exact draws are, where there are some."""
    return "".join(
        _exact_sets(run)
        for run in results
        if run.get("experiment") == "posterior_exact_draws"
    )


def _exact_sets(run: dict[str, Any]) -> str:
    sets = run["sets"]
    errors, low, high = (
        np.array(sets[name])
        for name in (
            "largest_mean_error",
            "smallest_sd_ratio",
            "largest_sd_ratio",
        )
    )
    is_within = (low >= _SD_RATIO[0]) & (high <= _SD_RATIO[1])
    num_met = np.sum(is_within & (errors <= _MEAN_WITHIN))
    ranges = (
        " to ".join(f"{end:.3f}" for end in np.quantile(values, [0.025, 0.975]))
        for values in (low, high)
    )
    return (
        f" Of {run['num_sets']} sets of as many exact draws of {run['target']} "
        "{} have what is wanted; their smallest ratio is {}, their largest {} "
        "in 95 % of them.".format(num_met, *ranges)
    )


def _references(results: Results) -> str:
    """How sure the moments are that were sampled here, last for each target."""
    runs = {
        run["target"]: run
        for run in results
        if run.get("experiment") == "posterior_reference"
    }
    texts = [
        f" Moments of {run['target']}: HMC, "
        f"{run['settings']['num_chains']} chains of "
        f"{run['settings']['num_results']:,} draws"
        f"{' in whitened coordinates' if run.get('is_whitened') else ''}, "
        "largest R-hat "
        f"{run['largest_r_hat']:.4f}, smallest bulk effective sample size "
        f"{run['smallest_ess_bulk']:,.0f}."
        for run in runs.values()
    ]
    return "".join(texts)


def ess_ratio(results: Results) -> float | None:
    """NeuTra's effective samples per gradient, in those of the best HMC.

    Args:
      results: contents of results.json files; other experiments are ignored.
    """
    runs = [run for run in results if run.get("experiment") == "neutra"]
    if not runs:
        return None
    best = max(hmc["ess_per_gradient"] for hmc in runs[0]["plain"])
    return runs[0]["neutra"]["ess_per_gradient"] / best


def neutra(results: Results) -> str:
    """NeuTra beside plain HMC on Neal's funnel.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    runs = [run for run in results if run.get("experiment") == "neutra"]
    if not runs:
        return "Not measured: no results.json of `trainers.posteriors.neutra`."
    run = runs[0]
    best = max(run["plain"], key=lambda hmc: hmc["ess_per_gradient"])
    rows = [_sampler("NeuTra, IAF", run["neutra"])]
    rows += [
        _sampler("HMC, best" if hmc is best else "HMC", hmc)
        for hmc in run["plain"]
    ]
    header = [
        *("sampler", "step size", "accepted", "R-hat of v", "mean of v"),
        *("sd of v", "bulk ESS of v", "gradients", "of them training"),
        *("ESS / 1,000 gradients", "without training"),
    ]
    settings = run["settings"]
    caption = (
        f"Neal's funnel in {run['event_size']} dimensions, v ~ N(0, 3^2). "
        "Effective samples per gradient of the log density, training "
        f"included: {ess_ratio(results):,.0f} times those of plain HMC at its "
        "best step size. "
        f"{settings['neutra']['num_chains']} chains of "
        f"{settings['neutra']['num_results']:,} draws, "
        f"{settings['neutra']['num_leapfrog_steps']} leapfrog steps for NeuTra "
        f"and {settings['plain']['num_leapfrog_steps']} for plain HMC, whose "
        "chains have not mixed where R-hat is above 1.01. "
        f"{text.provenance([run])}"
    )
    return "\n".join([*text.table(header, rows, 1), "", caption])


def _sampler(name: str, found: dict[str, Any]) -> list[str]:
    return [
        name,
        f"{found['step_size']:.2g}",
        f"{found['acceptance_rate']:.2f}",
        f"{found['r_hat']:.4f}",
        f"{found['mean']:.3f}",
        f"{found['sd']:.3f}",
        f"{found['ess_bulk']:,.0f}",
        f"{found['num_gradients'] + found['num_training_gradients']:,}",
        f"{found['num_training_gradients']:,}",
        f"{1e3 * found['ess_per_gradient']:.3g}",
        f"{1e3 * found['ess_per_gradient_without_training']:.3g}",
    ]
