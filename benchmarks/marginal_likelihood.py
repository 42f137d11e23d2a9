"""How fast is log p(x) by importance sampling, if each image is encoded once?

A DLGM (encoder 784-400-400, decoder 40-400-400-784, Bernoulli) with K planar
flow steps whose parameters are amortized: at K = 80 the head of the encoder
computes 6,560 numbers per image. Images times samples per second of

- `ours`: `DLGM.log_marginal_likelihood`, which encodes each image once;
- `usual`: the batch repeated for every sample of a chunk, and encoded again:
  what one writes with a model's forward pass alone. Same model, same noise,
  same chunks, same running sums.

Both are compiled by XLA, take turns in one process, in an order shuffled every
round, after a first call of each; medians and quartiles. The peak memory of
`ours` is that of fresh processes with 1,000 and with 10,000 samples.

    python -m benchmarks.marginal_likelihood     # minutes; writes results/
    python -m benchmarks.marginal_likelihood --quick --out /tmp/quick.json
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _command, _measure
from trainers.report import benchmarks as report_benchmarks

__all__ = ["QUICK", "Settings", "main", "run"]

_CHILD = "benchmarks._marginal_likelihood_child"
_SIZES = {"pixels": 784, "hidden": 400, "latent": 40, "batch": 100}


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    flow_steps: tuple[int, ...] = (0, 10, 80)
    num_samples: int = 500
    samples_per_chunk: int = 50
    num_repeats: int = 15
    memory_samples: tuple[int, int] = (1_000, 10_000)
    num_processes: int = 3
    sizes: dict[str, int] = _SIZES


QUICK = Settings(
    flow_steps=(0, 2),
    num_samples=20,
    samples_per_chunk=10,
    num_repeats=3,
    memory_samples=(20, 200),
    num_processes=1,
    sizes={"pixels": 64, "hidden": 32, "latent": 5, "batch": 8},
)


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    cases, versions = [], {}
    for k in settings.flow_steps:
        values = _child("rates", k, settings.num_samples, settings)
        versions = values["versions"]
        case = _summary(k, values, settings)
        cases.append(case)
        progress(f"K={k}: {case['ratio']:.2f} times the usual way's rate")
    largest = max(settings.flow_steps)
    memory = {
        samples: [
            _child("memory", largest, samples, settings)["peak_memory_mib"]
            for _ in range(settings.num_processes)
        ]
        for samples in settings.memory_samples
    }
    medians = [_measure.quartiles(v)["median"] for v in memory.values()]
    progress(f"memory: {medians} MiB")
    return {
        "benchmark": "marginal_likelihood",
        **_measure.describe(),
        "versions": versions,
        "settings": settings._asdict(),
        "cases": cases,
        "peak_memory_mib": {
            "num_flow_steps": largest,
            "values": memory,
            "ratio": medians[1] / medians[0],
        },
    }


def _child(
    task: str, num_flow_steps: int, num_samples: int, settings: Settings
) -> dict[str, Any]:
    arguments = {
        "task": task,
        "num_flow_steps": num_flow_steps,
        "sizes": settings.sizes,
        "num_samples": num_samples,
        "samples_per_chunk": settings.samples_per_chunk,
    }
    if task == "rates":
        arguments["num_repeats"] = settings.num_repeats
    name = f"{task}, K={num_flow_steps},"
    return _measure.finished_child(name, _CHILD, arguments).values


def _summary(
    num_flow_steps: int, values: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    """Rates of both ways, and their ratio in the median."""
    count = settings.sizes["batch"] * settings.num_samples
    rates = {
        way: _measure.quartiles([count / s for s in seconds])
        for way, seconds in values["seconds"].items()
    }
    return {
        "num_flow_steps": num_flow_steps,
        "rates": rates,
        "ratio": rates["ours"]["median"] / rates["usual"]["median"],
        "largest_difference": values["largest_difference"],
    }


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = _command.parser(
        "marginal_likelihood", "How fast is log p(x) by importance sampling?"
    )
    parser.add_argument(
        "--flow_steps",
        type=_command.positive_integers("flow_steps", least=0),
        help="values of K, as in 0,10,80",
    )
    flags = parser.parse_args(arguments)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    return settings, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and writes the JSON file."""
    settings, out = _parse(arguments)
    results = run(settings, _command.show)
    _command.finish(results, out, report_benchmarks.marginal_likelihood)
    return 0


if __name__ == "__main__":
    sys.exit(main())
