"""What surrogates leave of the evidence, beside published bounds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from trainers.report import text
from trainers.report.posteriors import FAMILIES, worst_moment_error

__all__ = ["evidences"]

Results = Sequence[dict[str, Any]]

_RELIABLE = 0.7  # k-hat of importance weights


class _Published(NamedTuple):
    """The best bound that others gave, in nats, and whose it is."""

    elbo: float
    source: str


_DIFFUSION = "diffusion sampler with learned noise"
_PUBLISHED = {
    "eight_schools": _Published(-36.140, "embedded-model flow"),
    "brownian_unknown_scales": _Published(1.06, _DIFFUSION),
    "seeds": _Published(-73.45, _DIFFUSION),
    "sonar": _Published(-108.83, _DIFFUSION),
    "ionosphere": _Published(-111.9, "LDVI"),
    "german_credit": _Published(-504.58, _DIFFUSION),
    "funnel": _Published(-0.011, _DIFFUSION),
}
# The wanted KL, in nats, where it is not that of the published bound.
_WANTED = {"eight_schools": 0.01, "funnel": 0.01}


def evidences(results: Results) -> str:
    """KL of the best family of each posterior, beside Gaussians and others.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    runs = [
        run
        for run in results
        if run.get("experiment") == "posterior"
        and "num_evidences_covered" in run
    ]
    if not runs:
        return (
            "Not measured: no results.json with a KL of "
            "`trainers.sweeps.posteriors`."
        )
    names = list(dict.fromkeys(run["target"] for run in runs))
    rows = [
        _row([run for run in runs if run["target"] == name]) for name in names
    ]
    header = [
        *("posterior, D", "best surrogate", "log evidence"),
        *("KL, mean-field", "KL, full-rank", "KL, published", "KL, best"),
        *("wanted", "k-hat", "evidences covered"),
        *("worst moment error, resampled", "NeuTra, R-hat"),
        "NeuTra, means within",
    ]
    quoted = "; ".join(
        f"{name}: {_PUBLISHED[name].elbo} ({_PUBLISHED[name].source})"
        for name in names
        if name in _PUBLISHED
    )
    settings = runs[0]["settings"]
    caption = (
        "KL(q || posterior) in nats = log evidence - ELBO, ± standard error: "
        "of the worst seed of each family, and the best family is the one with "
        "the smallest; of families with auxiliary variables it is an upper "
        f"bound. {settings['num_evaluation_samples']:,} draws. Published "
        f"ELBOs: {quoted}. Wanted: below the published one, or below 0.01. "
        f"Evidences covered: of {settings['num_evidences']} estimates a seed "
        f"from {settings['num_evidence_samples']:,} draws each, those whose "
        "95 % interval holds the true one, where k-hat is below "
        f"{_RELIABLE}; of all families' {_covered_in_all(runs)}. "
        "Worst moment error: of a mean, in posterior standard "
        "deviations, or of the ratio of a standard deviation to the "
        "posterior's, off 1; before and after importance resampling. "
        f"{_improved(runs)}"
        f"{_of_chains(runs)}"
        f"{text.provenance(runs)}"
    )
    return "\n".join([*text.table(header, rows, 2), "", caption])


def _of_chains(runs: Sequence[dict[str, Any]]) -> str:
    found = [run for run in runs if "neutra" in run]
    if not found:
        return ""
    settings = found[0]["neutra"]["settings"]
    families = dict.fromkeys(FAMILIES[run["family"]] for run in found)
    return (
        f"NeuTra: {settings['num_chains']} chains of "
        f"{settings['num_results']:,} draws before the flow of "
        f"{', '.join(families)}. "
    )


def _improved(runs: Sequence[dict[str, Any]]) -> str:
    """Where weights hold, for how many fits they pay."""
    errors = [
        (worst_moment_error(run), worst_moment_error(run["resampled"]))
        for run in runs
        if run["k_hat"] < _RELIABLE
    ]
    worse = [(before, after) for before, after in errors if after >= before]
    said = (
        f"It is smaller after for {len(errors) - len(worse)} of the "
        f"{len(errors)} fits of all families with a k-hat below {_RELIABLE}"
    )
    if worse:
        before, after = max(worse, key=lambda pair: pair[1] - pair[0])
        said += f"; among the others it grew most from {before:.3f} to "
        said += f"{after:.3f}"
    return f"{said}. "


def _row(runs: Sequence[dict[str, Any]]) -> list[str]:
    """One posterior's."""
    first = runs[0]
    families = dict.fromkeys(run["family"] for run in runs)
    worst = {
        family: max(
            (run for run in runs if run["family"] == family),
            key=lambda run: run["kl"],
        )
        for family in families
    }
    best = min(worst.values(), key=lambda run: run["kl"])
    group = [run for run in runs if run["family"] == best["family"]]
    name = first["target"]
    published = _PUBLISHED.get(name)
    published_kl = published and first["log_normalizer"] - published.elbo
    wanted = _WANTED.get(name, published_kl)
    return [
        f"{name}, {first['event_size']}",
        FAMILIES[best["family"]],
        f"{first['log_normalizer']:.3f}",
        _kl(worst.get("mean_field")),
        _kl(worst.get("full_rank")),
        "-" if published_kl is None else f"{published_kl:.3f}",
        _kl(best),
        "-"
        if wanted is None
        else f"{wanted:.3f}, {'met' if best['kl'] < wanted else 'missed'}",
        f"{max(run['k_hat'] for run in group):.2f}",
        _covered(group),
        _resampled(group),
        *_chains(runs),
    ]


def _kl(run: dict[str, Any] | None) -> str:
    if run is None:
        return "-"
    return f"{run['kl']:z.4f} ± {run['kl_standard_error']:.4f}"


def _covered(group: Sequence[dict[str, Any]]) -> str:
    """Of each seed whose k-hat lets weights be used."""
    counts = [
        f"{run['num_evidences_covered']} of {len(run['log_evidences'])}"
        for run in group
        if run["k_hat"] < _RELIABLE
    ]
    return ", ".join(counts) or "-"


def _covered_in_all(runs: Sequence[dict[str, Any]]) -> str:
    found = [run for run in runs if run["k_hat"] < _RELIABLE]
    covered = sum(run["num_evidences_covered"] for run in found)
    return f"{covered} of {sum(len(run['log_evidences']) for run in found)}"


def _resampled(group: Sequence[dict[str, Any]]) -> str:
    """The worst moments' errors, of draws and of resampled ones."""
    before = max(worst_moment_error(run) for run in group)
    after = max(worst_moment_error(run["resampled"]) for run in group)
    return f"{before:.3f}, {after:.3f}"


def _chains(runs: Sequence[dict[str, Any]]) -> list[str]:
    chains = [run["neutra"] for run in runs if "neutra" in run]
    if not chains:
        return ["-", "-"]
    return [
        f"{max(found['largest_r_hat'] for found in chains):.4f}",
        f"{max(found['largest_mean_error'] for found in chains):.3f}",
    ]
