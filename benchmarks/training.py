"""What do the input pipeline, Keras, logging and checkpoints cost a trainer?

Steps per second of `recipe=modern` on MNIST, without a flow and with K planar
steps, of

- `trainer`: `trainers.run.train_and_evaluate(mode="train")` as it is: batches
  shuffled and binarised anew, running metrics, metrics.jsonl, TensorBoard, a
  validation and a checkpoint every 2,000 steps, a progress bar;
- `loop`: `model.train_step` of the same model under XLA, on a constant batch,
  as many steps in one compiled call as the trainer takes, and nothing else;
- `calls`: the same step, called from Python one by one, waiting only at the
  end.

The three take turns in one process, in an order shuffled every round. Of the
trainer a window from one validation to the next is timed, by the times in its
own event file; the steps before the first validation, which compile, are not.

    python -m benchmarks.training --data_dir=data    # minutes; writes results/
    python -m benchmarks.training --quick --out /tmp/quick.json    # digits
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import _command, _measure
from trainers.report import benchmarks as report_benchmarks
from trainers.runs import errors

__all__ = ["QUICK", "Settings", "main", "run"]

WAYS = ("trainer", "loop", "calls")
WANTED = 0.8  # trainer / loop, at least
_CHILD = "benchmarks._training_child"
_MEASURED = ("tfp_flows", "trainers", "configs", "benchmarks")


class Settings(NamedTuple):
    """Everything that decides what is measured.

    The trainer is timed between two validations, so a window is
    `config.training.validation_steps` steps.
    """

    config: str = "mnist"
    variant: str = ""  # what else stands behind the config's colon
    flow_steps: tuple[int, ...] = (0, 40)
    num_rounds: int = 7


QUICK = Settings("digits", "runlocal", flow_steps=(0, 2), num_rounds=2)


def run(
    settings: Settings,
    data_dir: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    cases, versions = [], {}
    for k in settings.flow_steps:
        values = _child(k, settings, data_dir)
        versions = values["versions"]
        case = _summary(k, values)
        cases.append(case)
        progress(f"K={k}: {case['ratios']['loop']:.2f} times the bare loop")
    return {
        "benchmark": "training",
        **_measure.describe(_MEASURED),
        "versions": versions,
        "settings": settings._asdict(),
        "wanted": WANTED,
        "cases": cases,
    }


def _child(
    num_flow_steps: int, settings: Settings, data_dir: str | None
) -> dict[str, Any]:
    flow = f"flow=planar,K={num_flow_steps}" if num_flow_steps else "flow=none"
    task = {
        "config": settings.config,
        "variant": ",".join(filter(None, [flow, settings.variant])),
        "num_rounds": settings.num_rounds,
        "data_dir": data_dir,
    }
    return _measure.finished_child(f"K={num_flow_steps}", _CHILD, task).values


def _summary(num_flow_steps: int, values: dict[str, Any]) -> dict[str, Any]:
    """Rates of all ways; the trainer's over the others' in the median."""
    rates = {
        way: _measure.quartiles([values["window_steps"] / s for s in seconds])
        for way, seconds in values["seconds"].items()
    }
    trainer = rates["trainer"]["median"]
    return {
        "num_flow_steps": num_flow_steps,
        "window_steps": values["window_steps"],
        "steps_per_execution": values["steps_per_execution"],
        "batch_size": values["batch_size"],
        "steps_per_second": rates,
        "ratios": {way: trainer / rates[way]["median"] for way in WAYS[1:]},
        "first_window_seconds": _measure.quartiles(
            values["first_window_seconds"]
        ),
    }


def _check_data(settings: Settings, data_dir: str | None) -> None:
    """Raises `InputError` if the images cannot be read."""
    # Imported here: a mistyped flag is answered before TensorFlow is loaded.
    from trainers.sources import images as image_sources

    image_sources.load_images(settings.config, data_dir)


def _parse(
    arguments: Sequence[str] | None,
) -> tuple[Settings, str | None, Path]:
    parser = _command.parser(
        "training", "What does the trainer cost beside the bare step?"
    )
    parser.add_argument(
        "--flow_steps",
        type=_command.positive_integers("flow_steps", least=0),
        help="values of K, as in 0,40",
    )
    parser.add_argument(
        "--num_rounds", type=_command.positive_integer("num_rounds")
    )
    parser.add_argument(
        "--data_dir", help="folder of TFDS data. Default: $TFDS_DATA_DIR"
    )
    flags = parser.parse_args(arguments)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    try:
        _check_data(settings, flags.data_dir)
    except errors.InputError as error:
        parser.error(str(error))
    return settings, flags.data_dir, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and writes the JSON file."""
    settings, data_dir, out = _parse(arguments)
    results = run(settings, data_dir, _command.show)
    _command.finish(results, out, report_benchmarks.training)
    return 0


if __name__ == "__main__":
    sys.exit(main())
