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

import contextlib
import importlib.metadata
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _command, _density_peers, _measure
from benchmarks._long_flow_child import versions
from trainers.report import benchmarks as report_benchmarks

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


class _Peer:
    """A library's process; see `_density_peers`."""

    def __init__(
        self, library: str, flow: str, size: int, settings: Settings
    ) -> None:
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(
            _peer_command(library, flow, size, settings),
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self.library = library
        self._name = f"{library} ({flow}, D = {size})"
        try:
            self.first_seconds = self._read()
        except RuntimeError:
            self.__exit__()
            raise

    def __enter__(self) -> "_Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._stderr.close()

    def seconds(self, what: str) -> float:
        """Of an "update" or of "samples".

        Raises:
          RuntimeError: the process has failed; with what it last said.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return float(line)
        code = self._process.wait()
        self._stderr.seek(0)
        said = [s.strip() for s in self._stderr if s.strip()]
        raise RuntimeError(
            f"The process of {self._name} has ended with code {code}: "
            f"{' | '.join(said[-3:]) or 'it said nothing.'}"
        )


def _peer_command(
    library: str, flow: str, size: int, settings: Settings
) -> list[str]:
    task = (library, flow, str(size), json.dumps(settings._asdict()))
    return [sys.executable, "-m", "benchmarks._density_peers", *task]


def _measured(flow: str, size: int, settings: Settings) -> list[dict[str, Any]]:
    """The cases of all libraries."""
    with contextlib.ExitStack() as stack:
        peers = [
            stack.enter_context(_Peer(library, flow, size, settings))
            for library in _density_peers.installed(flow)
        ]
        times: dict[tuple[str, str], list[float]] = {}
        generator = random.Random(settings.seed)
        for _ in range(settings.num_rounds):
            for peer in generator.sample(peers, len(peers)):
                for what in WHAT:
                    times.setdefault((peer.library, what), []).append(
                        1e3 * peer.seconds(what)
                    )
    cases = []
    for peer in peers:
        case: dict[str, Any] = {
            "flow": flow,
            "size": size,
            "library": peer.library,
            "first_calls_seconds": peer.first_seconds,
        }
        for what in WHAT:
            ours, theirs = times["tfp_flows", what], times[peer.library, what]
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
    _command.finish(results, out, report_benchmarks.density)
    return 0


if __name__ == "__main__":
    sys.exit(main())
