"""How fast are flows here, beside the same flows of other libraries?

One training step, one batch of samples and the density of one batch of points,
of masked autoregressive flows (MAF, IAF), neural splines in couplings and
autoregressive, planar and radial flows, Householder reflections, and of a VAE
with an amortised planar flow. Libraries that are not installed are left out,
and so is what a library does not have. Each has a process, and they take turns;
the first calls, compilation included, are measured once. `_peers` says what is
the same for all of them.

    python -m pip install -e ".[peers]"   # best in an environment of its own
    python -m benchmarks.peers            # an hour; writes results/
    python -m benchmarks.peers --quick --out /tmp/quick.json

distrax brings another TensorFlow Probability, so it needs an environment of its
own: `--python distrax=<its interpreter>`.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import _command, _measure, _peers
from benchmarks._long_flow_child import versions
from benchmarks._peer_process import measure
from trainers.report import libraries as report_libraries

__all__ = ["QUICK", "Settings", "main", "run"]

_PACKAGES = {
    "zuko": "zuko",
    "nflows": "nflows",
    "normflows": "normflows",
    "pyro": "pyro-ppl",
    "flowjax": "flowjax",
    "distrax": "distrax",
    "torch": "torch",
    "jax": "jax",
}


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    sizes: tuple[int, ...] = (16, 64)
    flows: tuple[str, ...] = _peers.FLOWS
    num_rounds: int = 60
    batch: int = 256
    steps: int = 5  # of flows with networks
    long: int = 32  # K of planar and radial flows
    very_long: int = 80  # K of the VAE's flow
    reflections: int = 8
    hidden: tuple[int, ...] = (128, 128)
    bins: int = 8
    autoencoder: tuple[int, ...] = (200, 200)
    pixels: int = 784
    seed: int = 0


QUICK = Settings(
    sizes=(4,),
    num_rounds=2,
    batch=8,
    steps=2,
    long=2,
    very_long=2,
    reflections=2,
    hidden=(8, 8),
    bins=4,
    autoencoder=(8, 8),
    pixels=9,
)


def _measured(
    flow: str, size: int, settings: Settings, pythons: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The cases of all libraries; those in `pythons` by that interpreter."""
    task = (flow, str(size), json.dumps(settings._asdict()))
    first_seconds, times = measure(
        {
            library: [
                pythons.get(library, sys.executable),
                *("-m", "benchmarks._peers", library, *task),
            ]
            for library in _peers.installed(flow, pythons)
        },
        f"{flow}, D = {size}",
        settings.num_rounds,
        settings.seed,
    )
    return [
        {
            "flow": flow,
            "size": size,
            "library": library,
            "first_seconds": first,
            "milliseconds": {
                what: _measure.quartiles(times[library, what]) for what in first
            },
        }
        for library, first in first_seconds.items()
    ]


def run(
    settings: Settings,
    pythons: Mapping[str, str],
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    cases = []
    for flow in settings.flows:
        for size in settings.sizes:
            progress(f"{flow}, D = {size}")
            cases += _measured(flow, size, settings, pythons)
    return {
        "benchmark": "peers",
        **_measure.describe(),
        "versions": {
            **versions(),
            **{
                name: importlib.metadata.version(package)
                for name, package in _PACKAGES.items()
                if importlib.util.find_spec(name)
            },
            **{
                library: _version_of(library, python)
                for library, python in pythons.items()
            },
        },
        "settings": settings._asdict(),
        "cases": cases,
    }


def _version_of(library: str, python: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({library!r}))"
    said = subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True
    )
    return said.stdout.strip()


def _interpreter(text: str) -> tuple[str, str]:
    library, _, python = text.partition("=")
    if library not in _peers.LIBRARIES or shutil.which(python) is None:
        raise argparse.ArgumentTypeError(
            "must be one of "
            f"{', '.join(_peers.LIBRARIES)}, = and an interpreter; got {text!r}"
        )
    return library, python


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and writes the JSON file."""
    parser = _command.parser("peers", "Flows beside those of other libraries.")
    parser.add_argument("--sizes", type=_command.positive_integers("sizes"))
    parser.add_argument("--flows", nargs="+", choices=_peers.FLOWS)
    parser.add_argument(
        "--python",
        nargs="+",
        default=(),
        type=_interpreter,
        metavar="LIBRARY=PATH",
        help="interpreters of libraries that are not in this environment",
    )
    flags = parser.parse_args(arguments)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    results = run(settings, dict(flags.python), _command.show)
    _command.finish(results, flags.out, report_libraries.peers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
