"""How fast are densities trained and sampled, beside those of other libraries?

Masked autoregressive flows (MAF) and autoregressive splines (NSF) of five
steps, each with a masked network of two hidden layers, over D numbers: one
Adam update of the maximum likelihood on a batch, and one batch of samples.
Beside `FlowDensity` stand TFP's own MAF and those of the libraries zuko,
nflows, normflows and flowjax that are installed, each in the form that its own
documentation shows, compiled where that is its usual form (XLA for TensorFlow
and JAX; PyTorch eager). Each has a process, and they take turns.

    python -m benchmarks.density                   # minutes; writes results/
    python -m benchmarks.density --quick --out /tmp/quick.json
"""

import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _command, _density_peers, _measure
from benchmarks._long_flow_child import versions
from benchmarks._peer_process import measure
from trainers.report import libraries as report_libraries

__all__ = ["QUICK", "Settings", "main", "run"]


WHAT = ("update", "samples")


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    sizes: tuple[int, ...] = (16, 64)
    flows: tuple[str, ...] = ("maf", "nsf")
    num_rounds: int = 40
    batch: int = 256
    steps: int = 5
    hidden: tuple[int, ...] = (128, 128)
    bins: int = 8
    seed: int = 0


QUICK = Settings(
    sizes=(2,), num_rounds=2, batch=8, steps=1, hidden=(8,), bins=4
)


def _peer_command(
    library: str, flow: str, size: int, settings: Settings
) -> list[str]:
    task = (library, flow, str(size), json.dumps(settings._asdict()))
    return [sys.executable, "-m", "benchmarks._density_peers", *task]


def _measured(flow: str, size: int, settings: Settings) -> list[dict[str, Any]]:
    """The cases of all libraries."""
    first_seconds, times = measure(
        {
            library: _peer_command(library, flow, size, settings)
            for library in _density_peers.installed(flow)
        },
        f"{flow}, D = {size}",
        settings.num_rounds,
        settings.seed,
    )
    cases = []
    for library, first in first_seconds.items():
        case: dict[str, Any] = {
            "flow": flow,
            "size": size,
            "library": library,
            "first_calls_seconds": sum(first.values()),
        }
        for what in WHAT:
            ours, theirs = times["tfp_flows", what], times[library, what]
            ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
            case[f"{what}_milliseconds"] = _measure.quartiles(theirs)
            case[f"{what}_ratio_to_ours"] = _measure.quartiles(ratios)
        cases.append(case)
    return cases


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    cases = []
    for flow in settings.flows:
        for size in settings.sizes:
            progress(f"{flow}, D = {size}")
            cases += _measured(flow, size, settings)
    others = filter(importlib.util.find_spec, _density_peers.PACKAGES)
    return {
        "benchmark": "density",
        **_measure.describe(),
        "versions": {
            **versions(),
            **{name: importlib.metadata.version(name) for name in others},
        },
        "settings": settings._asdict(),
        "cases": cases,
    }


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = _command.parser(
        "density", "Training and sampling of densities, beside other libraries."
    )
    parser.add_argument("--sizes", type=_command.positive_integers("sizes"))
    flags = parser.parse_args(arguments)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    return settings, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and writes the JSON file."""
    settings, out = _parse(arguments)
    results = run(settings, _command.show)
    _command.finish(results, out, report_libraries.density)
    return 0


if __name__ == "__main__":
    sys.exit(main())
