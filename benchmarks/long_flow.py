"""What does a long flow cost a training step, and what to build it?

One training step of a DLGM-sized network (encoder 784-400-400, linear head,
decoder 40-400-400-784, Bernoulli, batch 100, Adam) whose head computes the
parameters of K amortized planar steps (6,560 outputs at K = 80), with

- `scan`: the K steps in one `tfp_flows.bijectors.Scan`;
- `chain`: the same bijectors in a `tfb.Chain`;
- `scan_tf`: the planar formula by hand in a plain `tf.scan`, a yardstick;
- `floor`: the same network and head *without the flow*: the K steps'
  parameters, computed all the same, are reduced by one `reduce_sum` that
  enters the loss (times 1e-6), and `z = loc + scale * eps`. Head, gradient
  through the whole head, Adam and compile mode are those of the others.

each in graph mode and under XLA. Measured for every K:

- time to the first step, in a fresh process: from building the variables,
  after the imports, to the first loss; the median of three processes;
- peak memory: the resident set of the same processes;
- median step and quartiles: all variants take turns in one process, in an
  order shuffled every round, after warm-up.

`chain` under XLA runs in processes of its own, limited to 5 minutes and 8 GiB
and reported as such if it does not finish; its steps are not interleaved.

    python -m benchmarks.long_flow                # an hour; writes results/
    python -m benchmarks.long_flow --quick --out /tmp/quick.json
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _command, _long_flow_report, _measure
from benchmarks._dlgm_sizes import FLOOR_WEIGHT, Sizes, head_width

__all__ = ["ALONE", "INTERLEAVED", "QUICK", "Settings", "main", "run"]

INTERLEAVED = (
    ("floor", "graph"),
    ("floor", "xla"),
    ("scan", "graph"),
    ("scan", "xla"),
    ("scan_tf", "graph"),
    ("scan_tf", "xla"),
    ("chain", "graph"),
)
ALONE = (("chain", "xla"),)
_CHILD = "benchmarks._long_flow_child"


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    flow_steps: tuple[int, ...] = (8, 32, 80, 128)
    num_steps: int = 200
    num_warmup_steps: int = 10
    num_steps_alone: int = 20
    num_processes: int = 3
    limit_seconds: float = 300.0
    limit_mib: float = 8192.0
    sizes: Sizes = Sizes()


QUICK = Settings(
    flow_steps=(2, 4),
    num_steps=5,
    num_warmup_steps=1,
    num_steps_alone=2,
    num_processes=1,
    sizes=Sizes(pixels=64, hidden=32, latent=5, batch=8),
)


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    report = _Progress(settings, progress)
    cases = {
        (variant, mode, k): _empty_case(variant, mode, k, settings)
        for k in settings.flow_steps
        for variant, mode in INTERLEAVED + ALONE
    }
    versions: dict[str, str] = {}
    for k in settings.flow_steps:
        versions |= _measure_steps(cases, k, settings, report)
    # Process by process, so that a disturbance does not fall on one case; the
    # long compilations of the others last.
    for alone in (False, True):
        for _ in range(settings.num_processes):
            for case in cases.values():
                if case["interleaved"] is not alone:
                    _measure_first_step(case, settings, report)
    for case in cases.values():
        _long_flow_report.summarise(case)
    return {
        "benchmark": "long_flow",
        **_measure.describe(),
        "versions": versions,
        "settings": {
            **settings._asdict(),
            "sizes": settings.sizes._asdict(),
            "floor_weight": FLOOR_WEIGHT,
        },
        "cases": list(cases.values()),
        "ratios": _long_flow_report.ratios(cases, settings.flow_steps),
    }


class _Progress:
    """Counts the measuring processes, one line each."""

    def __init__(
        self, settings: Settings, write: Callable[[str], None]
    ) -> None:
        per_k = 1 + settings.num_processes * len(INTERLEAVED + ALONE)
        self._total = len(settings.flow_steps) * per_k
        self._done = 0
        self._write = write

    def __call__(self, line: str) -> None:
        self._done += 1
        self._write(f"[{self._done}/{self._total}] {line}")


def _empty_case(
    variant: str, mode: str, num_flow_steps: int, settings: Settings
) -> dict[str, Any]:
    return {
        "variant": variant,
        "mode": mode,
        "num_flow_steps": num_flow_steps,
        "head_width": head_width(num_flow_steps, settings.sizes.latent),
        "status": "finished",
        "message": "",
        "first_step_seconds": [],
        "peak_memory_mib": [],
        "import_memory_mib": [],
        "step_milliseconds": [],
        "interleaved": (variant, mode) in INTERLEAVED,
    }


def _measure_steps(
    cases: dict[tuple[str, str, int], dict[str, Any]],
    num_flow_steps: int,
    settings: Settings,
    report: Callable[[str], None],
) -> dict[str, str]:
    result = _measure.run_child(
        _CHILD,
        {
            "task": "steps",
            "cases": INTERLEAVED,
            "num_flow_steps": num_flow_steps,
            "sizes": settings.sizes,
            "num_steps": settings.num_steps,
            "num_warmup_steps": settings.num_warmup_steps,
        },
    )
    report(
        f"K={num_flow_steps} steps of all variants, interleaved: "
        f"{result.status}, {result.seconds:.0f} s"
    )
    for i, (variant, mode) in enumerate(INTERLEAVED):
        case = cases[variant, mode, num_flow_steps]
        if result.status == "finished":
            case["step_milliseconds"] = result.values["step_milliseconds"][i]
        else:
            case.update(status=result.status, message=result.message)
    return result.values.get("versions", {})


def _measure_first_step(
    case: dict[str, Any], settings: Settings, report: Callable[[str], None]
) -> None:
    variant, mode = case["variant"], case["mode"]
    name = f"K={case['num_flow_steps']} {variant} {mode}: "
    if case["status"] != "finished":
        report(f"{name}not run again, {case['status']}")
        return
    alone = (variant, mode) in ALONE
    result = _measure.run_child(
        _CHILD,
        {
            "task": "first_step",
            "variant": variant,
            "mode": mode,
            "num_flow_steps": case["num_flow_steps"],
            "sizes": settings.sizes,
            "num_steps": settings.num_steps_alone,
        },
        limit_seconds=settings.limit_seconds if alone else None,
        limit_mib=settings.limit_mib if alone else None,
    )
    if result.status != "finished":
        case.update(status=result.status, message=result.message)
        report(f"{name}{result.status} after {result.seconds:.0f} s")
        return
    for key in ("first_step_seconds", "peak_memory_mib", "import_memory_mib"):
        case[key].append(result.values[key])
    if alone:
        case["step_milliseconds"] += result.values["step_milliseconds"]
    report(
        f"{name}first step {result.values['first_step_seconds']:.2f} s, "
        f"peak {result.values['peak_memory_mib']:.0f} MiB"
    )


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = _command.parser(
        "long_flow", "What does a long flow cost a training step?"
    )
    parser.add_argument(
        "--num_steps",
        type=_command.positive_integer("num_steps"),
        help="timed steps of each variant",
    )
    parser.add_argument(
        "--flow_steps",
        type=_command.positive_integers("flow_steps"),
        help="values of K, as in 8,32,80",
    )
    flags = parser.parse_args(arguments)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    return settings, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the tables and writes the JSON file."""
    settings, out = _parse(arguments)
    results = run(settings, _command.show)
    _command.finish(results, out, lambda r: _long_flow_report.markdown(r[0]))
    failed = [c for c in results["cases"] if c["status"] == "failed"]
    for case in failed:
        print(
            f"{case['variant']} {case['mode']} K={case['num_flow_steps']} "
            f"failed: {case['message']}",
            file=sys.stderr,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
