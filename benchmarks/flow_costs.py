"""What does each flow cost, and what do convolutions save?

Every flow that the command line knows (`configs.flows.FLOWS`), at every D,
with K = 8 steps and shared parameters, on a batch of 256 points in float32,
compiled by XLA:

- forward + log-det, inverse + log-det, and a gradient step: the gradient of the
  free energy `mean(|y|**2 / 2 - log-det)` to all the weights;
- time to compile each of them: their first call less the median of the later
  ones, measured once;
- number of weights that are trained;
- as a check, the largest error of `inverse(forward(x))`.

The weights are moved off their initial values, where many flows are the
identity. The flows take turns in one process for each D, in an order shuffled
every round, after warm-up.

Beside them, one step of each autoregressive flow on its own: the direction that
goes coordinate by coordinate against D separate passes through the same
network, as it is and made to go on for all of its D rounds, and the other
direction against one. Wanted at the largest D of `sequential_sizes` that is not
above 64: at most 3 times the D passes; and compile times of the sequential
direction that do not grow with D.

Beside them, `CircularConvolution`, forward + log-det, up to N = 65,536, against
the product with the dense circulant matrix up to N = 4,096: without a log-det,
and with one where that is affordable. Beyond, the product's time is
extrapolated by `N**2`. Wanted at N = 65,536: 100 times faster than the product,
and growth as `N * log(N)`. From N = 4,096 on it may be twice that, as the
signals outgrow the processor's caches; quadratic growth would be 12 times it.

    python -m benchmarks.flow_costs               # minutes; writes results/
    python -m benchmarks.flow_costs --quick --out /tmp/quick.json
"""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _command, _measure
from configs.flows import AUTOREGRESSIVE, FLOWS
from trainers.report import flows as report_flows

__all__ = ["QUICK", "Settings", "main", "run"]

FASTER_AT_LEAST = 100.0  # than the dense product, at the largest N
PASSES_AT_MOST = 3.0  # sequential direction over D separate passes
# The largest D's time to compile over the smallest one's, each measured once.
COMPILE_GROWTH_AT_MOST = 2.0
GROWTH_AT_MOST = 2.0  # over that of N log N, to the largest N
_CHILD = "benchmarks._flow_costs_child"
_MEASURED = ("tfp_flows", "trainers", "configs", "benchmarks")


class Settings(NamedTuple):
    """Everything that decides what is measured.

    The sizes of the flows' networks, and what else they need, are those of
    `configs/image_defaults.py`.
    """

    flows: tuple[str, ...] = ()  # none named: all of them
    event_sizes: tuple[int, ...] = (2, 40, 64, 256)
    num_flow_steps: int = 8
    batch: int = 256
    # Of what is added to the weights, see `_flow_costs_child.FlowAtSize`.
    weight_noise: float = 0.3
    num_repeats: int = 30
    sequential_sizes: tuple[int, ...] = (16, 64, 256)
    num_sequential_repeats: int = 15
    num_signals: int = 8
    convolution_sizes: tuple[int, ...] = (64, 256, 1024, 4096, 16384, 65536)
    dense_sizes: tuple[int, ...] = (64, 256, 1024, 4096)
    log_det_sizes: tuple[int, ...] = (64, 256, 1024)
    num_convolution_repeats: int = 50


QUICK = Settings(
    event_sizes=(2, 5),
    num_flow_steps=2,
    batch=16,
    num_repeats=2,
    sequential_sizes=(2, 5),
    num_sequential_repeats=2,
    convolution_sizes=(16, 32, 64),
    dense_sizes=(16, 32),
    log_det_sizes=(16,),
    num_convolution_repeats=2,
)


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    cases: list[dict[str, Any]] = []
    autoregressive = _autoregressive(settings.flows)
    total = len(settings.event_sizes) + bool(autoregressive) + 1
    for i, event_size in enumerate(settings.event_sizes):
        child = _measure.finished_child(
            f"D={event_size}",
            _CHILD,
            {
                "task": "flows",
                "names": settings.flows,
                "event_size": event_size,
                "num_flow_steps": settings.num_flow_steps,
                "batch": settings.batch,
                "weight_noise": settings.weight_noise,
                "num_repeats": settings.num_repeats,
            },
        )
        cases += [_case(event_size, case) for case in child.values["cases"]]
        progress(f"[{i + 1}/{total}] D={event_size}: {child.seconds:.0f} s")
    sequential = None
    if autoregressive:
        child = _measure.finished_child(
            "the sequential directions",
            _CHILD,
            {
                "task": "sequential",
                "names": autoregressive,
                "event_sizes": settings.sequential_sizes,
                "batch": settings.batch,
                "weight_noise": settings.weight_noise,
                "num_repeats": settings.num_sequential_repeats,
            },
        )
        sequential = _sequential(child.values["cases"])
        progress(f"[{total - 1}/{total}] sequential: {child.seconds:.0f} s")
    child = _measure.finished_child(
        "the convolutions",
        _CHILD,
        {
            "task": "convolution",
            "sizes": settings.convolution_sizes,
            "dense_sizes": settings.dense_sizes,
            "log_det_sizes": settings.log_det_sizes,
            "num_signals": settings.num_signals,
            "num_repeats": settings.num_convolution_repeats,
        },
    )
    progress(f"[{total}/{total}] convolutions: {child.seconds:.0f} s")
    return {
        "benchmark": "flow_costs",
        **_measure.describe(_MEASURED),
        "versions": child.values["versions"],
        "settings": settings._asdict(),
        "cases": cases,
        "sequential": sequential,
        "convolution": _convolution(child.values["cases"]),
    }


def _autoregressive(names: Sequence[str]) -> list[str]:
    """Those of the flows that are autoregressive; of all, if none is named."""
    return [name for name in AUTOREGRESSIVE if name in (names or (name,))]


def _sequential(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of all ways, and ratios of each flow."""
    summaries = [_case(case["event_size"], case) for case in cases]
    sizes = sorted({case["event_size"] for case in cases})
    judged = max((size for size in sizes if size <= 64), default=sizes[0])
    ratios = {}
    for name in dict.fromkeys(case["flow"] for case in cases):
        of_flow = {
            case["event_size"]: case
            for case in summaries
            if case["flow"] == name
        }
        medians = {
            way: summary["median"]
            for way, summary in of_flow[judged]["milliseconds"].items()
        }
        compiled = [
            of_flow[size]["compile_seconds"]["sequential"]
            for size in (sizes[0], sizes[-1])
        ]
        ratios[name] = {
            "sequential_over_passes": medians["sequential"] / medians["passes"],
            "all_rounds_over_passes": medians["all_rounds"] / medians["passes"],
            "parallel_over_pass": medians["parallel"] / medians["one_pass"],
            "compile_growth": compiled[1] / compiled[0],
        }
    return {
        "cases": summaries,
        "judged_event_size": judged,
        "compiled_event_sizes": [sizes[0], sizes[-1]],
        "passes_at_most": PASSES_AT_MOST,
        "compile_growth_at_most": COMPILE_GROWTH_AT_MOST,
        "ratios": ratios,
    }


def _case(event_size: int, case: dict[str, Any]) -> dict[str, Any]:
    """One flow at one D, lists replaced by median and quartiles."""
    return {
        **case,
        "event_size": event_size,
        "milliseconds": {
            operation: _measure.quartiles(values)
            for operation, values in case["milliseconds"].items()
        },
    }


def _convolution(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of all sizes, the dense product's extrapolated, and ratios."""
    summaries = [
        {
            **case,
            "milliseconds": {
                way: _measure.quartiles(values) if values else None
                for way, values in case["milliseconds"].items()
            },
        }
        for case in cases
    ]
    by_size = {case["size"]: case["milliseconds"] for case in summaries}
    measured = max(size for size, ways in by_size.items() if ways["dense"])
    dense = by_size[measured]["dense"]["median"]
    for case in summaries:
        size, own = case["size"], case["milliseconds"]["dense"]
        case["dense_extrapolated"] = own is None
        case["dense_milliseconds"] = (
            own["median"] if own else dense * (size / measured) ** 2
        )
        case["dense_over_convolution"] = (
            case["dense_milliseconds"]
            / case["milliseconds"]["convolution"]["median"]
        )
    largest = summaries[-1]
    growth = {
        f"{largest['size']}/{size}": largest["milliseconds"]["convolution"][
            "median"
        ]
        / by_size[size]["convolution"]["median"]
        / _n_log_n(largest["size"], size)
        for size in by_size
        if measured <= size < largest["size"]
    }
    return {
        "cases": summaries,
        "faster": {
            "size": largest["size"],
            "extrapolated_from": measured,
            "at_least": FASTER_AT_LEAST,
            "value": largest["dense_over_convolution"],
        },
        "growth": {"at_most": GROWTH_AT_MOST, "values": growth},
    }


def _n_log_n(large: int, small: int) -> float:
    return large * math.log(large) / (small * math.log(small))


def _check_flows(names: Sequence[str]) -> None:
    """Raises ValueError unless every name is that of a flow."""
    for name in names:
        if name not in FLOWS:
            raise ValueError(
                f"`flows` must be among {', '.join(FLOWS)}; got {name!r}."
            )


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = _command.parser("flow_costs", "What does each flow cost?")
    parser.add_argument(
        "--flows",
        type=lambda text: tuple(text.split(",")),
        help="names, as in planar,radial. Default: all",
    )
    parser.add_argument(
        "--event_sizes",
        type=_command.positive_integers("event_sizes"),
        help="values of D, as in 2,64",
    )
    parser.add_argument(
        "--num_repeats",
        type=_command.positive_integer("num_repeats"),
        help="timed calls of each operation",
    )
    flags = parser.parse_args(arguments)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    if flags.num_repeats:
        settings = settings._replace(num_convolution_repeats=flags.num_repeats)
    if min(settings.event_sizes) < 2:
        parser.error("`event_sizes` must be integers >= 2; got 1.")
    if flags.flows:
        try:
            _check_flows(flags.flows)
        except ValueError as error:
            parser.error(str(error))
    return settings, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the tables and writes the JSON file."""
    settings, out = _parse(arguments)
    results = run(settings, _command.show)
    _command.finish(results, out, report_flows.flow_costs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
