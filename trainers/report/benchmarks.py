"""Tables of the benchmarks, from their results.json files."""

import statistics
from collections.abc import Sequence
from typing import Any

from trainers.report import text

__all__ = [
    "NOT_MEASURED",
    "cif",
    "gradient_estimators",
    "hamiltonian",
    "long_flow",
    "machine",
    "marginal_likelihood",
    "mixed_precision",
    "newest",
    "scaling",
    "training",
]

NOT_MEASURED = "Not measured: no results.json of this benchmark."


def newest(
    results: Sequence[dict[str, Any]], benchmark: str
) -> dict[str, Any] | None:
    """The last run of a benchmark, or None."""
    runs = [run for run in results if run.get("benchmark") == benchmark]
    return max(runs, key=lambda run: run["date"]) if runs else None


def machine(run: dict[str, Any]) -> str:
    """Where, when and with what a benchmark was run."""
    hardware = run["machine"]
    return (
        f"{hardware['cpu']}, {hardware['cores']} cores, TensorFlow "
        f"{run['versions']['tensorflow']}; {run['date'][:10]}; commit "
        f"{run['commit'][:10]}{' (dirty)' if run['dirty'] else ''}."
    )


def _median(case: dict[str, Any], key: str, digits: int) -> str:
    summary = case[key]
    return f"{summary['median']:.{digits}f}" if summary else case["status"]


def cif(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/cif.py`."""
    run = newest(results, "cif")
    if run is None:
        return NOT_MEASURED
    short, long = run["settings"]["lengths"][0], run["settings"]["lengths"][-1]
    length = run["settings"]["steps_at"]
    header = [
        *("posterior", f"step, ms (K = {length})", "to `flow`", "quartiles"),
        *(f"first step, s, K = {short}", f"K = {long}", "ratio"),
    ]
    rows = []
    for case in run["cases"]:
        ratio, first = case["ratio_to_flow"], case["first_step_seconds"]
        cells = [
            f"`{case['variant']}`",
            _median(case, "step_milliseconds", 1),
            f"{ratio['median']:.2f}",
            f"{ratio['q1']:.2f} to {ratio['q3']:.2f}",
            f"{first[str(short)]:.1f}",
            f"{first[str(long)]:.1f}",
            f"{case['ratio_of_first_steps']:.2f}",
        ]
        rows.append(cells)
    rounds = run["settings"]["num_rounds"]
    caption = f"Medians of {rounds} interleaved rounds. {machine(run)}"
    return "\n".join([*text.table(header, rows, 1), "", caption])


def long_flow(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/long_flow.py`: costs, then their ratios."""
    run = newest(results, "long_flow")
    if run is None:
        return NOT_MEASURED
    lines = [
        "| K | variant | mode | first step, s | step, ms | peak memory, MiB |",
        "| ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for case in run["cases"]:
        cells = [
            case["num_flow_steps"],
            case["variant"],
            case["mode"],
            _median(case, "first_step_seconds", 2),
            _median(case, "step_milliseconds", 1),
            _median(case, "peak_memory_mib", 0),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += [
        "",
        "| ratio of medians | " + " | ".join(_lengths(run)) + " | wanted |",
        "| --- |" + " ---: |" * (len(_lengths(run)) + 1),
    ]
    for name, ratio in run["ratios"].items():
        values = ratio["values"]
        if len(values) == 1:
            (k, value), *_ = values.items()
            cells = [f"{_ratio(value)} (K = {k})"]
            cells += [""] * (len(_lengths(run)) - 1)
        else:
            cells = [_ratio(value) for value in values.values()]
        lines.append(
            f"| {name} | {' | '.join(cells)} | at most {ratio['at_most']} |"
        )
    cells = [_ratio(value) for value in _floor_over_chain(run)]
    lines.append(
        "| step, floor XLA / chain graph: the least that any flow could reach "
        f"| {' | '.join(cells)} | - |"
    )
    return "\n".join([*lines, "", _caption(run)])


def _floor_over_chain(run: dict[str, Any]) -> list[float | None]:
    """What the network without a flow takes of the chain's step, by K."""
    steps = {
        (case["variant"], case["mode"], case["num_flow_steps"]): case[
            "step_milliseconds"
        ]
        for case in run["cases"]
    }
    pairs = [
        (steps.get(("floor", "xla", k)), steps.get(("chain", "graph", k)))
        for k in run["settings"]["flow_steps"]
    ]
    return [
        floor["median"] / chain["median"] if floor and chain else None
        for floor, chain in pairs
    ]


def _lengths(run: dict[str, Any]) -> list[str]:
    return [f"K = {k}" for k in run["settings"]["flow_steps"]]


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _caption(run: dict[str, Any]) -> str:
    settings = run["settings"]
    spread = statistics.median(
        (summary["q3"] - summary["q1"]) / summary["median"]
        for case in run["cases"]
        if (summary := case["step_milliseconds"])
    )
    return (
        f"Medians of {settings['num_processes']} processes (first step, "
        f"memory) and of {settings['num_steps']} interleaved steps, whose "
        f"quartiles are typically {100 * spread:.0f} % apart; `chain` under "
        f"XLA has a process of its own, at most "
        f"{settings['limit_seconds']:.0f} s and "
        f"{settings['limit_mib'] / 1024:.0f} GiB. {machine(run)}"
    )


def marginal_likelihood(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/marginal_likelihood.py`."""
    run = newest(results, "marginal_likelihood")
    if run is None:
        return NOT_MEASURED
    header = [
        *("K", "encoded once, images x samples / s"),
        *("encoded for every sample", "ratio"),
    ]
    rows = [
        [
            case["num_flow_steps"],
            *(_rate(case["rates"][way]) for way in ("ours", "usual")),
            f"{case['ratio']:.2f}",
        ]
        for case in run["cases"]
    ]
    settings, memory = run["settings"], run["peak_memory_mib"]
    few, many = memory["values"]
    return "\n".join(
        [
            *text.table(header, rows, 0),
            "",
            f"Medians and quartiles of {settings['num_repeats']} interleaved "
            f"repeats: {settings['sizes']['batch']} images, "
            f"{settings['num_samples']} samples each in chunks of "
            f"{settings['samples_per_chunk']}, both compiled by XLA; their "
            f"estimates differ by at most "
            f"{max(c['largest_difference'] for c in run['cases']):.0e} nats. "
            f"Peak memory at K = {memory['num_flow_steps']} with {int(many):,} "
            f"samples is {memory['ratio']:.3f} times that with {int(few):,}. "
            f"{machine(run)}",
        ]
    )


def _rate(rate: dict[str, float]) -> str:
    return f"{rate['median']:,.0f} ({rate['q1']:,.0f} to {rate['q3']:,.0f})"


def scaling(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/scaling.py`."""
    run = newest(results, "scaling")
    if run is None:
        return NOT_MEASURED
    header = [
        *("way", "replicas", "batch", "microseconds per example"),
        *("to `graph`, same process", "to the fastest without a strategy"),
        "wanted",
    ]
    rows = []
    for case in run["cases"]:
        own, ratio = case["microseconds_per_example"], case["ratio_to_graph"]
        is_strategy = case["way"] not in ("graph", "xla")
        is_bounded = is_strategy and case["num_replicas"] == 1
        cells = [
            f"`{case['way']}`",
            case["num_replicas"],
            f"{case['batch_size']:,}",
            f"{own['median']:.1f} ({own['q1']:.1f} to {own['q3']:.1f})",
            f"{ratio['median']:.2f}",
            f"{case['ratio_to_fastest']:.2f}",
            f"at most {run['wanted']}" if is_bounded else "-",
        ]
        rows.append(cells)
    settings = run["settings"]
    sizes = settings["sizes"]
    caption = (
        f"DLGM {sizes['pixels']}-{sizes['hidden']}-{sizes['hidden']}, D = "
        f"{sizes['latent']}, planar flow of K = {settings['num_flow_steps']}. "
        f"Medians and quartiles of {settings['num_rounds']} interleaved rounds "
        f"of {settings['window_steps']} steps in one compiled call. "
    )
    if run["devices"][0].startswith("CPU"):
        caption += (
            "Replicas of one machine share its cores, so that only what they "
            "cost can show. "
        )
    caption += machine(run)
    return "\n".join([*text.table(header, rows, 1), "", caption])


def training(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/training.py`."""
    run = newest(results, "training")
    if run is None:
        return NOT_MEASURED
    header = [
        *("K", "trainer, steps / s", "bare step in a compiled loop"),
        *("bare step, one by one", "trainer / loop", "trainer / one by one"),
        "wanted",
    ]
    rows = [
        [
            case["num_flow_steps"],
            *(
                _rate(case["steps_per_second"][way])
                for way in ("trainer", "loop", "calls")
            ),
            *(f"{case['ratios'][way]:.2f}" for way in ("loop", "calls")),
            f"at least {run['wanted']}",
        ]
        for case in run["cases"]
    ]
    settings, case = run["settings"], run["cases"][0]
    caption = (
        f"Medians and quartiles of {settings['num_rounds']} interleaved rounds "
        f"of {case['window_steps']:,} steps each, data set "
        f"{settings['config']}, batch {case['batch_size']}, "
        f"{case['steps_per_execution']} steps in one compiled call, XLA. The "
        "trainer's steps include those of its input pipeline, logs, one "
        f"validation and one checkpoint; before them, start, compilation and "
        f"the first {case['window_steps']:,} steps took "
        + ", ".join(
            f"{c['first_window_seconds']['median']:.0f} s "
            f"(K = {c['num_flow_steps']})"
            for c in run["cases"]
        )
        + f". {machine(run)}"
    )
    return "\n".join([*text.table(header, rows, 0), "", caption])


def gradient_estimators(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/gradient_estimators.py`."""
    run = newest(results, "gradient_estimators")
    if run is None:
        return NOT_MEASURED
    names = ("sticking_the_landing", "doubly_reparameterized")
    lines = [
        "| K | S | updates | gradient of | variance, `reparameterized` "
        "| ratio, `sticking_the_landing` | ratio, `doubly_reparameterized` |",
        "| ---: | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for case in run["cases"]:
        estimators = case["estimators"]
        for part in ("posterior", "encoder"):
            cells = [
                case["num_flow_steps"],
                case["num_importance_samples"],
                f"{case['num_updates']:,}",
                part,
                f"{estimators['reparameterized'][part]['variance']:.3g}",
                *(
                    f"{estimators[name][part]['ratio']:.3f}"
                    if name in estimators
                    else "biased"
                    for name in names
                ),
            ]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    settings = run["settings"]
    caption = (
        f"Variance of the gradient of the mean bound, summed over the weights, "
        f"from {settings['num_draws']} draws of the noise for one batch of "
        f"{settings['batch']} digits, before and after training with the "
        f"reparameterized gradient; {settings['latent']} latents, S importance "
        f"samples. {machine(run)}"
    )
    return "\n".join([*lines, "", caption])


def mixed_precision(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/mixed_precision.py`."""
    run = newest(results, "mixed_precision")
    if run is None:
        return NOT_MEASURED
    rows = []
    for case in run["cases"]:
        full, low = case["float32"], case["mixed_bfloat16"]
        change = (low["elbo"] - full["elbo"]) / abs(full["elbo"])
        rows.append(
            [
                f"`{case['posterior']}`",
                *(f"{part['elbo']:.3f}" for part in (full, low)),
                f"{100 * change:+.2f} %",
                *(f"{part['log_p']:.3f}" for part in (full, low)),
            ]
        )
    header = [
        *("posterior", "ELBO, float32", "ELBO, mixed_bfloat16", "difference"),
        *("log p(x), float32", "log p(x), mixed_bfloat16"),
    ]
    settings = run["settings"]
    caption = (
        "Nats per image of scikit-learn's digits that were not trained on, "
        "higher is better: one training of "
        f"{settings['num_updates']:,} updates of {settings['batch']} images "
        "each, from equal weights on equal noise; "
        f"K = {settings['flow_steps']}; log p(x) by "
        f"{settings['num_importance_samples']} importance samples. "
        f"{machine(run)}"
    )
    return "\n".join([*text.table(header, rows, 1), "", caption])


def hamiltonian(results: Sequence[dict[str, Any]]) -> str:
    """The table of `benchmarks/hamiltonian.py`."""
    run = newest(results, "hamiltonian")
    if run is None:
        return NOT_MEASURED
    settings = run["settings"]
    header = [
        *("mode", "decoder pass, ms", "bound of the base, ms"),
        *(f"with {settings['num_bridges']} bridges, ms", "a bridge, ms"),
        *("bridge / pass", "wanted"),
    ]
    rows = [
        [
            case["mode"],
            *(
                f"{ms['median']:.2f} ({ms['q1']:.2f} to {ms['q3']:.2f})"
                for ms in (
                    case["milliseconds"][way]
                    for way in ("pass", "base", "bridges")
                )
            ),
            f"{case['bridge_milliseconds']:.2f}",
            f"{case['ratio']:.2f}",
            f"at most {run['wanted']}",
        ]
        for case in run["cases"]
    ]
    caption = (
        "Medians and quartiles of "
        f"{settings['num_repeats']} interleaved calls, with all gradients; "
        f"decoder {settings['latent']}-{settings['hidden']}-"
        f"{settings['hidden']}-{settings['pixels']}, batch "
        f"{settings['batch']}. {machine(run)}"
    )
    return "\n".join([*text.table(header, rows, 1), "", caption])
