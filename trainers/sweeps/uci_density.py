"""Conditional densities of UCI tables: tables, models, settings, splits.

    python -m trainers.sweeps.uci_density --data_dir=<folder of uci> \
        --workdir=runs/uci_density --results=results/uci_density

For each table and model, all `CANDIDATES` are trained on the first splits; the
one with the highest mean log-likelihood of the validation rows is trained on
the others too, and its test rows are what `<results>/<table>/<model>/
results.json` speaks of. There it is trained `num_members` times, from different
seeds: alone the first counts, and all of them as an ensemble, whose density is
the mean of theirs. All models have the same candidates and steps. Every
run keeps its own workdir; finished ones are left alone, interrupted ones are
continued. The runs of one table and model share a process, and what differs in
the split alone what was compiled; `--part=1/2` and `--part=2/2` share tables
and models among two processes.
"""

import argparse
import dataclasses
import itertools
import math
import os
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from ml_collections import config_dict

from configs import uci_density
from trainers.densities import build, experiment
from trainers.densities.evaluate import read_test_log_likelihoods
from trainers.runs import errors
from trainers.runs import workdir as workdirs
from trainers.sweeps import command
from trainers.sweeps.run_missing import make_config, part_of, run_missing

__all__ = ["CANDIDATES", "Cell", "Group", "main"]

# Changes of the config, by a name for each.
CANDIDATES: dict[str, dict[str, Any]] = {
    "plain": {},
    "slow": {"optimizer.learning_rate": 2e-4},
    "dropout": {"model.dropout": 0.1},
    "more_dropout": {"model.dropout": 0.3},
    "noise": {"model.noise_scale": 0.03},
    "more_noise": {
        "model.noise_scale": 0.1,
        "model.context_noise_scale": 0.1,
    },
    "noise_and_dropout": {"model.noise_scale": 0.1, "model.dropout": 0.1},
    "noise_and_decay": {
        "model.noise_scale": 0.03,
        "optimizer.weight_decay": 1.0,
    },
    "small": {
        "model.noise_scale": 0.03,
        "model.hidden_units": (32,),
        "model.conditioner_hidden_units": (32,),
    },
}

# What results.json has of each run, and of the last one.
_OF_SPLITS = (
    "log_likelihood",
    "log_likelihood_standard_error",
    "best_validation_log_likelihood",
    "evaluated_step",
    "num_steps",
    "seconds",
)
_OF_GROUP = (
    "protocol",
    "num_parameters",
    "finished",
    "hardware",
    "commit",
    "dirty",
    "versions",
    "config",
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    data: str
    model: str
    candidate: str
    split: int
    seed: int = 0

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        name = f"{self.candidate}_split{self.split}"
        if self.seed:
            name += f"_seed{self.seed}"
        return os.path.join(self.data, self.model, name)

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings = {
            "data": self.data,
            "model": self.model,
            "split": self.split,
        }
        config = make_config(
            uci_density.get_config, settings, self.seed, variant
        )
        config.update_from_flattened_dict(CANDIDATES[self.candidate])
        is_first = (self.candidate, self.split, self.seed) == ("plain", 0, 0)
        config.evaluation.pictures = is_first
        return config


class Group:
    """A table and a model: the runs behind one number of README's table.

    Attributes:
      path: its directory, below that of the sweep.
    """

    def __init__(
        self, data: str, model: str, arguments: argparse.Namespace
    ) -> None:
        """Runs nothing yet.

        Args:
          data: the table's name.
          model: one of the config's models.
          arguments: of the command line.
        """
        self.data, self.model = data, model
        self.path = os.path.join(data, model)
        self._arguments = arguments
        self._experiment = experiment.reusing_models()

    def cells(
        self, candidate: str, num_splits: int, seed: int = 0
    ) -> list[Cell]:
        """The runs of one candidate on the first splits."""
        return [
            Cell(self.data, self.model, candidate, split, seed)
            for split in range(num_splits)
        ]

    def check(self) -> None:
        """Refuses a config that cannot be run."""
        for name in self._arguments.candidates:
            for cell in self.cells(name, 1):
                build.check_config(cell.config(self._arguments.variant))

    def run(self) -> None:
        """Searches, runs all splits and writes results.json, once."""
        directory = os.path.join(self._arguments.results, self.path)
        path = os.path.join(directory, "results.json")
        if tf.io.gfile.exists(path):
            logging.info("%s has its results.json: kept.", self.path)
            return
        validated = self._search()
        chosen = max(validated, key=lambda name: validated[name])
        logging.info("%s: %s it is.", self.path, chosen)
        num_splits = self._arguments.num_splits
        members = [
            self._run(chosen, num_splits, seed)
            for seed in range(self._arguments.num_members)
        ]
        found = self._summary(chosen, validated, members[0])
        if len(members) > 1:
            found["ensemble"] = self._ensemble(chosen, num_splits)
        with workdirs.writing(path):
            tf.io.gfile.makedirs(directory)
            workdirs.write_json(path, found)

    def _search(self) -> dict[str, float]:
        """The mean validation log-likelihood of each candidate, if finite."""
        arguments, found = self._arguments, {}
        is_choice = len(arguments.candidates) > 1
        for name in arguments.candidates:
            num_splits = arguments.num_search_splits if is_choice else 1
            try:
                runs = self._run(name, num_splits)
            except errors.NonFiniteError as error:
                logging.warning("%s, %s: %s", self.path, name, error)
                continue
            found[name] = statistics.mean(
                run["best_validation_log_likelihood"] for run in runs
            )
        if not found:
            raise errors.NonFiniteError(
                "`--candidates` must hold one that can be trained on "
                f"{self.path}; got {', '.join(arguments.candidates)}."
            )
        return found

    def _run(
        self, candidate: str, num_splits: int, seed: int = 0
    ) -> list[dict[str, Any]]:
        """What the runs of a candidate on the first splits have found."""
        arguments = self._arguments
        todo = self.cells(candidate, num_splits, seed)
        run_missing(
            todo,
            workdir=arguments.workdir,
            results=arguments.workdir,  # whose results.json are the runs' own
            variant=arguments.variant,
            data_dir=arguments.data_dir,
            keep=lambda *_: None,
            experiment=self._experiment,
        )
        paths = [
            os.path.join(arguments.workdir, cell.path, "results.json")
            for cell in todo
        ]
        return [workdirs.read_json(path) for path in paths]

    def _ensemble(self, chosen: str, num_splits: int) -> dict[str, Any]:
        """Of each split, the mean log-likelihood of the members' mixture."""
        arguments, num_members = self._arguments, self._arguments.num_members
        means = []
        for split in range(num_splits):
            of_members = [
                read_test_log_likelihoods(
                    os.path.join(
                        arguments.workdir,
                        Cell(self.data, self.model, chosen, split, seed).path,
                    )
                )
                for seed in range(num_members)
            ]
            mixture = np.logaddexp.reduce(of_members) - math.log(num_members)
            means.append(float(mixture.mean()))
        return {"num_members": num_members, "log_likelihoods": means}

    def _summary(
        self,
        chosen: str,
        validated: dict[str, float],
        runs: Sequence[dict[str, Any]],
    ) -> dict[str, Any]:
        last = runs[-1]
        return {
            "experiment": "uci_density_sweep",
            "dataset": self.data,
            "model": self.model,
            "chosen": chosen,
            "num_search_splits": self._arguments.num_search_splits,
            "validation_log_likelihoods": validated,
            "splits": [{key: run[key] for key in _OF_SPLITS} for run in runs],
            **{key: last[key] for key in _OF_GROUP},
        }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(
        "uci_density", "Chooses settings by validation, then runs all splits."
    )
    config, candidates = uci_density, tuple(CANDIDATES)
    command.add_shared(parser, "workdir", "results")
    add = parser.add_argument
    add("--data_dir", help="folder with uci, or beside it")
    add("--data", nargs="+", choices=config.DATA, default=config.DATA)
    models = tuple(config.MODELS)
    add("--models", nargs="+", choices=models, default=models)
    add("--candidates", nargs="+", choices=candidates, default=candidates)
    add("--num_search_splits", type=int, default=3)
    add("--num_splits", type=int, default=len(config.SPLITS))
    add("--num_members", type=int, default=3)
    command.add_shared(parser, "part", "variant")
    return command.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    arguments = _parse(argv)
    groups = [
        Group(data, model, arguments)
        for data, model in itertools.product(arguments.data, arguments.models)
    ]
    with command.one_line_errors():
        todo = part_of(groups, arguments.part)
        for group in groups:
            group.check()
        for group in todo:
            group.run()


if __name__ == "__main__":
    main()
