"""What the sweeps share: running those runs that have no results yet."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import keras
import tensorflow as tf
from absl import logging
from ml_collections import config_dict

from trainers import run
from trainers.runs import errors
from trainers.runs import workdir as workdirs
from trainers.runs.experiment import Experiment

__all__ = [
    "Cell",
    "keep_files",
    "keep_results_json",
    "make_config",
    "part_of",
    "run_missing",
]


class Cell(Protocol):
    """One run of a sweep."""

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""


Item = TypeVar("Item")


def make_config(
    get_config: Callable[[str], config_dict.ConfigDict],
    settings: Mapping[str, Any],
    seed: int,
    variant: str | None,
) -> config_dict.ConfigDict:
    """The configuration of a cell, that of a command line and a seed.

    Args:
      get_config: of a config module.
      settings: what stands behind its colon, by name.
      seed: of the run.
      variant: what stands there too, without a name; may be None.
    """
    parts = [f"{name}={value}" for name, value in settings.items()]
    config = get_config(",".join([*parts, *([variant] if variant else [])]))
    config.training.seed = seed
    return config


def keep_results_json(workdir: str, results: str, found: Any) -> None:
    """Writes what results.json holds, and nothing else."""
    del workdir
    tf.io.gfile.makedirs(results)
    workdirs.write_json(os.path.join(results, "results.json"), found)


def keep_files(*names: str) -> Callable[[str, str, Any], None]:
    """A `keep` of `run_missing` that copies files of the workdir, too.

    Args:
      *names: their paths in the workdir; results.json comes last, as the sign
        of a whole copy.
    """

    def keep(workdir: str, results: str, found: Any) -> None:
        with workdirs.writing(results):
            for name in names:
                path = os.path.join(results, name)
                tf.io.gfile.makedirs(os.path.dirname(path))
                source = os.path.join(workdir, name)
                tf.io.gfile.copy(source, path, overwrite=True)
            keep_results_json(workdir, results, found)

    return keep


def part_of(todo: Sequence[Item], part: str | None) -> list[Item]:
    """The share of one of several processes: every n-th run.

    Args:
      todo: all runs.
      part: "i/n", the i-th of n, counted from 1; None for all.

    Raises:
      InputError: `part` is something else.
    """
    if not part:
        return list(todo)
    i, _, n = part.partition("/")
    if not (i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise errors.InputError(
            f"`part` must be i/n, 1 <= i <= n; got {part!r}."
        )
    return list(todo[int(i) - 1 :: int(n)])


def run_missing(
    todo: Sequence[Cell],
    *,
    workdir: str,
    results: str,
    variant: str | None = None,
    data_dir: str | None = None,
    keep: Callable[[str, str, Any], None] = keep_results_json,
    experiment: Experiment | None = None,
) -> None:
    """Runs those cells that have no results.json yet.

    Args:
      todo: the runs.
      workdir: directory of the workdirs.
      results: directory of the results.json files; existing ones are kept.
      variant: see `Cell.config`.
      data_dir: folder of TFDS data, for data sets that are not embedded.
      keep: called with the workdir of a finished run, the directory of its
        results, and what its results.json holds; it writes results.json last.
      experiment: see `run.train_and_evaluate`.
    """
    for number, cell in enumerate(todo, start=1):
        kept = os.path.join(results, cell.path)
        if tf.io.gfile.exists(os.path.join(kept, "results.json")):
            logging.info("%s has its results.json: kept.", cell.path)
            continue
        logging.info("Run %d of %d: %s.", number, len(todo), cell.path)
        place = os.path.join(workdir, cell.path)
        found = run.train_and_evaluate(
            cell.config(variant),
            place,
            data_dir=data_dir,
            experiment=experiment,
        )
        keep(place, kept, found)
        keras.utils.clear_session()
