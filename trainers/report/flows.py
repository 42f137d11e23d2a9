"""Tables of the flows: the catalogue, and what each of them costs."""

import statistics
from collections.abc import Sequence
from typing import Any

from configs.flows import FLOWS
from trainers.report import text
from trainers.report.benchmarks import NOT_MEASURED, machine, newest

__all__ = ["catalogue", "flow_costs"]

_OPERATIONS = ("forward", "inverse", "gradient")
_CATALOGUE_SIZE = 64  # D of the catalogue's numbers


def catalogue(results: Sequence[dict[str, Any]]) -> str:
    """All flows, with their numbers at D = 64 where they are measured."""
    run = newest(results, "flow_costs")
    cases = {
        case["flow"]: case
        for case in (run["cases"] if run else [])
        if case["event_size"] == _CATALOGUE_SIZE
    }
    header = [
        *("flow", "class", "layer", "paper", "log-det", "inverse"),
        *("cost in D", "rolled by `Scan`", "forward, ms", "inverse, ms"),
        *("gradient step, ms", "parameters"),
    ]
    rows = [
        [
            f"`{name}`",
            ", ".join(f"`{bijector}`" for bijector in entry.bijectors),
            f"`{entry.layer}`",
            *(entry.paper, entry.log_det, entry.inverse, entry.cost),
            "yes" if entry.rolled else "no",
            *_numbers(cases.get(name)),
        ]
        for name, entry in FLOWS.items()
    ]
    rows.append(
        [
            *("any K of one kind", "`Scan`", "`FlowLayer`", "-"),
            *("sum over its members", "those of its members, last one first"),
            *("K times a member", "-", *_numbers(None)),
        ]
    )
    lines = text.table(header, rows, num_words=8)
    return "\n".join([*lines, "", _catalogue_caption(run if cases else None)])


def _numbers(case: dict[str, Any] | None) -> list[str]:
    """Milliseconds of each operation, and the number of parameters."""
    if case is None:
        return ["-"] * (len(_OPERATIONS) + 1)
    return [
        *(
            _milliseconds(case["milliseconds"][o]["median"])
            for o in _OPERATIONS
        ),
        f"{case['num_parameters']:,}",
    ]


def _catalogue_caption(run: dict[str, Any] | None) -> str:
    cost = (
        "Names as in configs and behind `flow=`. Cost of one step for one "
        "point: W units in a hidden layer of a step's network, H reflections, "
        "M columns. "
    )
    if run is None:
        return cost + (
            "Times and parameters are not measured: no results.json of "
            f"`benchmarks/flow_costs.py` at D = {_CATALOGUE_SIZE}."
        )
    settings = run["settings"]
    return cost + (
        "Medians, forward and inverse with their log-dets, of K = "
        f"{settings['num_flow_steps']} steps on {settings['batch']} points "
        f"with D = {_CATALOGUE_SIZE}, see "
        "[Cost of each flow](docs/benchmarks.md#cost-of-each-flow). "
        f"{machine(run)}"
    )


def flow_costs(results: Sequence[dict[str, Any]]) -> str:
    """The tables of `benchmarks/flow_costs.py`: flows, then convolutions."""
    run = newest(results, "flow_costs")
    if run is None:
        return NOT_MEASURED
    names = list(dict.fromkeys(case["flow"] for case in run["cases"]))
    rows = [
        [
            f"`{case['flow']}`",
            case["event_size"],
            *_numbers(case)[:-1],
            *(f"{case['compile_seconds'][o]:.1f}" for o in _OPERATIONS),
            _numbers(case)[-1],
            f"{case['round_trip_error']:.0e}",
        ]
        for case in sorted(
            run["cases"],
            key=lambda case: (names.index(case["flow"]), case["event_size"]),
        )
    ]
    header = [
        *("flow", "D", "forward, ms", "inverse, ms", "gradient step, ms"),
        *("compile: forward, s", "inverse, s", "gradient step, s"),
        *("parameters", "round trip error"),
    ]
    settings = run["settings"]
    caption = (
        f"K = {settings['num_flow_steps']} steps with shared parameters on "
        f"{settings['batch']} points, float32, XLA; forward and inverse with "
        "their log-dets; a gradient step is the gradient of the free energy "
        "to all weights. Networks, columns (at most D) and reflections are "
        "those of [the image configs](configs/image_defaults.py). Medians of "
        f"{settings['num_repeats']} interleaved calls, whose quartiles are "
        f"typically {100 * _spread(run):.0f} % apart; compile is one first "
        "call less the median. The round trip error is the largest of a "
        f"coordinate of inverse(forward(x)) - x. {machine(run)}"
    )
    return "\n".join(
        [
            *text.table(header, rows, num_words=1),
            "",
            caption,
            "",
            *_sequential(run),
            *_convolutions(run),
        ]
    )


def _sequential(run: dict[str, Any]) -> list[str]:
    """The table of the autoregressive flows beside their networks."""
    sequential = run.get("sequential")
    if not sequential:
        return []
    size = sequential["judged_event_size"]
    small, large = sequential["compiled_event_sizes"]
    rows = []
    for name, ratios in sequential["ratios"].items():
        cases = {
            case["event_size"]: case
            for case in sequential["cases"]
            if case["flow"] == name
        }
        milliseconds = cases[size]["milliseconds"]
        compiled = [
            cases[d]["compile_seconds"]["sequential"] for d in (small, large)
        ]
        rows.append(
            [
                f"`{name}`",
                _milliseconds(milliseconds["sequential"]["median"]),
                _milliseconds(milliseconds["all_rounds"]["median"]),
                _milliseconds(milliseconds["passes"]["median"]),
                _ratio(ratios["sequential_over_passes"]),
                _ratio(ratios["all_rounds_over_passes"]),
                _ratio(ratios["parallel_over_pass"]),
                *(f"{seconds:.1f}" for seconds in compiled),
                _ratio(ratios["compile_growth"]),
            ]
        )
    header = [
        *("flow", "sequential direction, ms", f"all {size} rounds, ms"),
        *(f"{size} passes, ms", "ratio", "ratio, all rounds"),
        *("parallel direction / one pass", f"compile: D = {small}, s"),
        *(f"D = {large}, s", "ratio"),
    ]
    settings = run["settings"]
    return [
        *text.table(header, rows, num_words=1),
        "",
        f"One step of each autoregressive flow on {settings['batch']} points "
        f"with D = {size}: the direction that goes coordinate by coordinate, "
        "with its log-det, which ends where nothing changes any more, against "
        f"{size} separate calls of the same network (wanted: at most "
        f"{sequential['passes_at_most']:g} times); the same, made to go on for "
        f"all the {size} rounds that it may take at worst; and the "
        "other direction against one call. Its time to compile must not grow "
        f"with D (wanted: at most {sequential['compile_growth_at_most']:g} "
        "times, measured once each). Medians of "
        f"{settings['num_sequential_repeats']} interleaved calls.",
        "",
    ]


def _spread(run: dict[str, Any]) -> float:
    """The distance of the quartiles over the median, in the median."""
    return statistics.median(
        (summary["q3"] - summary["q1"]) / summary["median"]
        for case in run["cases"]
        for summary in case["milliseconds"].values()
    )


def _convolutions(run: dict[str, Any]) -> list[str]:
    """The table of the convolutions, and that of what is wanted of them."""
    convolution, settings = run["convolution"], run["settings"]
    rows = []
    for case in convolution["cases"]:
        log_det = case["milliseconds"]["dense_log_det"]
        rows.append(
            [
                f"{case['size']:,}",
                _milliseconds(case["milliseconds"]["convolution"]["median"]),
                _milliseconds(case["dense_milliseconds"])
                + (" (extrapolated)" if case["dense_extrapolated"] else ""),
                _milliseconds(log_det["median"]) if log_det else "-",
                _ratio(case["dense_over_convolution"]),
            ]
        )
    header = [
        *("N", "convolution + log-det, ms", "dense product, ms"),
        *("dense product + log-det, ms", "dense product / convolution"),
    ]
    faster, growth = convolution["faster"], convolution["growth"]
    differences = [
        case["largest_differences"]["value"]
        for case in convolution["cases"]
        if not case["dense_extrapolated"]
    ]
    wanted = [
        [
            f"dense product / convolution, N = {faster['size']:,}",
            _ratio(faster["value"]),
            f"at least {faster['at_least']:g}",
        ]
    ]
    for sizes, value in growth["values"].items():
        large, small = (f"{int(size):,}" for size in sizes.split("/"))
        wanted.append(
            [
                f"growth of the convolution from N = {small} to {large} / that "
                "of N log N",
                _ratio(value),
                f"at most {growth['at_most']:g}",
            ]
        )
    return [
        *text.table(header, rows, num_words=0),
        "",
        *text.table(["ratio of medians", "value", "wanted"], wanted, 1),
        "",
        f"`CircularConvolution` on {settings['num_signals']} signals of length "
        "N against the product with its circulant matrix, which is ready made, "
        "both under XLA (the matrix's log-det in graph mode): medians of "
        f"{settings['num_convolution_repeats']} interleaved calls. "
        f"Both give the same values within {max(differences):.0e}. Beyond N = "
        f"{faster['extrapolated_from']:,} the product is extrapolated by N^2. "
        "Growth may be twice that of N log N, as the signals outgrow the "
        "processor's caches.",
    ]


def _milliseconds(value: float) -> str:
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
