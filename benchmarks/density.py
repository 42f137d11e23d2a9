"""How fast are densities trained and sampled, beside those of other libraries?

Masked autoregressive flows (MAF) and autoregressive splines (NSF) of five
steps, each with a masked network of two hidden layers, over D numbers: one
Adam update of the maximum likelihood on a batch, and one batch of samples.
Beside `FlowDensity` stand TFP's own MAF and those of the libraries zuko,
nflows, normflows and flowjax that are installed, each in the form that its own
documentation shows, compiled where that is its usual form (XLA for TensorFlow
and JAX; PyTorch eager). All in one process, in turns.

    python -m benchmarks.density                   # minutes; writes results/
    python -m benchmarks.density --quick --out /tmp/quick.json
"""

import importlib.metadata
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import _command, _density_peers, _measure
from benchmarks._long_flow_child import versions
from trainers.report import benchmarks as report_benchmarks

__all__ = ["QUICK", "Settings", "main", "run"]


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


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    cases = []
    for flow in settings.flows:
        for size in settings.sizes:
            ways: dict[str, Callable[[], Any]] = {}
            first = {}
            for library in _density_peers.installed(flow):
                x = np.random.default_rng(settings.seed).normal(
                    size=[settings.batch, size]
                )
                start = time.perf_counter()
                pair = _density_peers.make(
                    library, flow, x.astype(np.float32), settings
                )
                for what, call in zip(("update", "samples"), pair, strict=True):
                    call()
                    ways[f"{library} {what}"] = call
                first[library] = time.perf_counter() - start
                progress(
                    f"{flow}, D = {size}, {library}: {first[library]:.1f} s"
                )
            times = _measure.in_turns(ways, settings.num_rounds)
            for library in first:
                case: dict[str, Any] = {
                    "flow": flow,
                    "size": size,
                    "library": library,
                    "first_calls_seconds": first[library],
                }
                for what in ("update", "samples"):
                    ours = times[f"tfp_flows {what}"]
                    theirs = times[f"{library} {what}"]
                    case[f"{what}_milliseconds"] = _measure.quartiles(
                        [1e3 * t for t in theirs]
                    )
                    case[f"{what}_ratio_to_ours"] = _measure.quartiles(
                        [a / b for a, b in zip(theirs, ours, strict=True)]
                    )
                cases.append(case)
    return {
        "benchmark": "density",
        **_measure.describe(),
        "versions": {
            **versions(),
            **{
                name: importlib.metadata.version(name)
                for name in _density_peers.PACKAGES
                if importlib.util.find_spec(name)
            },
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
    _command.finish(results, out, report_benchmarks.density)
    return 0


if __name__ == "__main__":
    sys.exit(main())
