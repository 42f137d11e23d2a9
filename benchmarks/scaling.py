"""What do strategies of `tf.distribute` cost, and what do replicas bring?

Seconds per example of the training step of one DLGM (784-400-400, D = 40,
planar flow of K steps, Adam), taken in a compiled loop as the trainer does, for
several sizes of the global batch:

- `graph`, `xla`: no strategy; XLA cannot compile for the replicas of one;
- `one_device`, `mirrored 1`, `workers 1`: strategies of one replica;
- `mirrored N`: N replicas in one process: GPUs, or logical CPUs without any;
- `workers N`: N processes of this machine, one replica each.

The ways of one process take turns in an order shuffled every round, and each
process has `graph` as its own yardstick: with N workers, the first takes it
while the others wait. What is asked for is `way / graph`, by medians, and
`way / fastest without a strategy`.

    python -m benchmarks.scaling           # half an hour; writes results/
    python -m benchmarks.scaling --quick --out /tmp/quick.json

On several hosts, the same command on each, with TF_CONFIG set: `graph` and
`workers` alone are measured, and the first host writes the file.
"""

import concurrent.futures
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _command, _measure
from trainers import launch_local
from trainers.report import benchmarks as report_benchmarks

__all__ = ["QUICK", "Settings", "main", "run"]

WANTED = 1.1  # one replica's strategies over `graph`, at most
_CHILD = "benchmarks._scaling_child"
_SIZES = {"pixels": 784, "hidden": 400, "latent": 40}


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    batch_sizes: tuple[int, ...] = (100, 400, 1600)
    replicas: tuple[int, ...] = (2,)
    workers: tuple[int, ...] = (1, 2)
    num_flow_steps: int = 8
    window_steps: int = 20
    num_rounds: int = 11
    sizes: dict[str, int] = _SIZES


QUICK = Settings(
    (4,),
    workers=(2,),
    num_flow_steps=1,
    window_steps=2,
    num_rounds=2,
    sizes={"pixels": 6, "hidden": 4, "latent": 2},
)


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every way and returns the content of `results.json`."""
    task = {
        **settings._asdict(),
        "ways": ["graph", "xla", "one_device", "mirrored"],
        "num_devices": 1,
    }
    for name in ("replicas", "workers"):
        del task[name]
    alone = _measure.finished_child("one replica", _CHILD, task).values
    cases = _cases(alone, settings)
    fastest = _fastest(cases)  # those of other processes are yardsticks alone
    for count in settings.replicas:
        progress(f"{count} replicas")
        values = _measure.finished_child(
            f"{count} replicas",
            _CHILD,
            {**task, "ways": ["graph", "mirrored"], "num_devices": count},
        ).values
        cases += _cases(values, settings, ["mirrored"])
    for count in settings.workers:
        progress(f"{count} workers")
        values = _of_workers(count, task)
        cases += _cases(values, settings, ["multi_worker"])
    return _results(cases, fastest, settings, alone)


def run_on_hosts(settings: Settings) -> dict[str, Any] | None:
    """The same of the cluster that TF_CONFIG names; all hosts must call it.

    Returns:
      None but on the first of them.
    """
    # Imported here: a mistyped flag is answered before TensorFlow is loaded.
    from benchmarks import _scaling_child

    task = settings._asdict()
    for name in ("replicas", "workers"):
        del task[name]
    values = _scaling_child.measure(
        ways=["graph", "multi_worker"], num_devices=1, **task
    )
    if not values["is_chief"]:
        return None
    cases = _cases(values, settings)
    return _results(cases, _fastest(cases), settings, values)


def _of_workers(count: int, task: dict[str, Any]) -> dict[str, Any]:
    """What the first of so many processes found."""
    cluster = {
        "worker": [f"localhost:{p}" for p in launch_local.free_ports(count)]
    }
    tasks = [
        {
            **task,
            "ways": ["graph", "multi_worker"],
            "tf_config": {
                "cluster": cluster,
                "task": {"type": "worker", "index": index},
            },
        }
        for index in range(count)
    ]
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        found = pool.map(
            lambda one: _measure.finished_child("a worker", _CHILD, one), tasks
        )
        return next(iter(list(found))).values


def _cases(
    values: dict[str, Any],
    settings: Settings,
    ways: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """One for each way, or for some, and batch size of a process."""
    return [
        {
            "way": way,
            "num_replicas": values["num_replicas"][way],
            "batch_size": int(batch_size),
            "microseconds_per_example": _measure.quartiles(
                [
                    1e6 * s / (settings.window_steps * int(batch_size))
                    for s in of_way
                ]
            ),
            "ratio_to_graph": _measure.quartiles(
                [
                    own / graph
                    for own, graph in zip(of_way, seconds["graph"], strict=True)
                ]
            ),
        }
        for batch_size, seconds in values["seconds"].items()
        for way, of_way in seconds.items()
        if ways is None or way in ways
    ]


def _fastest(cases: list[dict[str, Any]]) -> dict[int, float]:
    """By batch size, microseconds of the fastest way without a strategy."""
    found: dict[int, float] = {}
    for case in cases:
        if case["way"] in ("graph", "xla"):
            median = case["microseconds_per_example"]["median"]
            size = case["batch_size"]
            found[size] = min(median, found.get(size, median))
    return found


def _results(
    cases: list[dict[str, Any]],
    fastest: dict[int, float],
    settings: Settings,
    values: dict[str, Any],
) -> dict[str, Any]:
    for case in cases:
        median = case["microseconds_per_example"]["median"]
        case["ratio_to_fastest"] = median / fastest[case["batch_size"]]
    return {
        "benchmark": "scaling",
        **_measure.describe(("tfp_flows", "trainers", "benchmarks")),
        "versions": values["versions"],
        "devices": values["devices"],
        "settings": settings._asdict(),
        "wanted": WANTED,
        "cases": cases,
    }


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = _command.parser(
        "scaling", "What do strategies cost, and replicas bring?"
    )
    for name in ("batch_sizes", "replicas", "workers"):
        parser.add_argument(
            f"--{name}",
            type=_command.positive_integers(name),
            help="as in 1,2",
        )
    for name in ("num_flow_steps", "window_steps", "num_rounds"):
        parser.add_argument(f"--{name}", type=_command.positive_integer(name))
    flags = parser.parse_args(arguments)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    shares = (*settings.replicas, *settings.workers)
    for size in settings.batch_sizes:
        if any(size % count for count in shares):
            parser.error(
                "`batch_sizes` must be multiples of all `replicas` and "
                f"`workers`, {sorted(set(shares))}; got {size}."
            )
    return settings, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and writes the JSON file."""
    settings, out = _parse(arguments)
    on_hosts = "TF_CONFIG" in os.environ
    results = (
        run_on_hosts(settings) if on_hosts else run(settings, _command.show)
    )
    if results is not None:
        _command.finish(results, out, report_benchmarks.scaling)
    return 0


if __name__ == "__main__":
    sys.exit(main())
