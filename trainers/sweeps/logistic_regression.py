"""Logistic regressions: data, bases, bridges, their number, seeds.

    python -m trainers.sweeps.logistic_regression --data_dir=<folder of uci> \
        --workdir=runs/logistic_regression --results=results/logistic_regression

Every run keeps its own workdir and ends with
`<results>/<data>/<posterior>_<base>_K<k>_seed<s>/results.json`; with K = 0 it
is the Gaussian alone. Runs that have theirs are left alone, interrupted ones
are continued; `--part=1/2` and `--part=2/2` share them among two processes. At
the end `bridges.png` shows the bounds by K, and the learning curves.
"""

import argparse
import dataclasses
import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from configs import logistic_regression
from trainers.energies import bridge_figures, experiment
from trainers.runs import workdir as workdirs
from trainers.sweeps import command
from trainers.sweeps.run_missing import make_config

__all__ = ["Cell", "cells", "main"]

BRIDGES = ("hamiltonian", "langevin")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    data: str
    posterior: str
    base: str
    num_bridges: int
    seed: int

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        name = f"{self.posterior}_{self.base}_K{self.num_bridges}"
        return os.path.join(self.data, f"{name}_seed{self.seed}")

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings: dict[str, Any] = {
            "data": self.data,
            "posterior": self.posterior,
            "base": self.base,
        }
        if self.num_bridges:
            settings["K"] = self.num_bridges
        return make_config(
            logistic_regression.get_config, settings, self.seed, variant
        )


def cells(
    data: Sequence[str],
    bridges: Sequence[str],
    bases: Sequence[str],
    lengths: Sequence[int],
    seeds: Sequence[int],
) -> Iterator[Cell]:
    """All runs, seed by seed, so that every cell of the table fills early."""
    for seed, length, name, base in itertools.product(
        seeds, lengths, data, bases
    ):
        for posterior in bridges if length else ("flow",):
            yield Cell(name, posterior, base, length, seed)


def _draw(results: str, todo: Sequence[Cell]) -> None:
    """The picture of the runs that are there."""
    paths = [os.path.join(results, cell.path, "results.json") for cell in todo]
    found = [workdirs.read_json(p) for p in paths if tf.io.gfile.exists(p)]
    path = os.path.join(results, "bridges.png")
    with workdirs.writing(path):
        bridge_figures.save_bridges(path, found)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(
        "logistic_regression",
        "Fits Gaussians with and without bridges, seed by seed.",
    )
    config = logistic_regression
    command.add_shared(parser, "workdir", "results")
    add = parser.add_argument
    add("--data_dir", help="folder with uci, or beside it")
    add("--data", nargs="+", choices=config.DATA, default=config.DATA)
    add("--bridges", nargs="+", choices=BRIDGES, default=BRIDGES)
    add("--bases", nargs="+", choices=config.BASES, default=config.BASES)
    add("--lengths", nargs="+", type=int, default=(0, 4, 16, 64))
    command.add_shared(parser, "seeds", "part", "variant")
    return command.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    arguments = _parse(argv)
    todo = list(
        cells(
            arguments.data,
            arguments.bridges,
            arguments.bases,
            arguments.lengths,
            arguments.seeds,
        )
    )
    check = functools.partial(
        experiment.checked_target, data_dir=arguments.data_dir
    )
    with command.one_line_errors(ValueError):
        command.run(todo, arguments, check=check)
        _draw(arguments.results, todo)


if __name__ == "__main__":
    main()
