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
import itertools
import os
import sys
from collections.abc import Iterator, Sequence

import tensorflow as tf
from ml_collections import config_dict

from configs import logistic_regression
from trainers.energies import bridge_figures, experiment
from trainers.runs import command_line, errors
from trainers.runs import workdir as workdirs
from trainers.sweeps.run_missing import part_of, run_missing

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
        parts = [
            f"data={self.data}",
            f"posterior={self.posterior}",
            f"base={self.base}",
            *([f"K={self.num_bridges}"] if self.num_bridges else []),
            *([variant] if variant else []),
        ]
        config = logistic_regression.get_config(",".join(parts))
        config.training.seed = self.seed
        return config


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


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.sweeps.logistic_regression",
        description="Fits Gaussians with and without bridges, seed by seed.",
    )
    config = logistic_regression
    add = parser.add_argument
    add("--workdir", required=True, help="directory of the runs' workdirs")
    add("--results", required=True, help="directory of the results.json files")
    add("--data_dir", help="folder with uci, or beside it")
    add("--data", nargs="+", choices=config.DATA, default=config.DATA)
    add("--bridges", nargs="+", choices=BRIDGES, default=BRIDGES)
    add("--bases", nargs="+", choices=config.BASES, default=config.BASES)
    add("--lengths", nargs="+", type=int, default=(0, 4, 16, 64))
    add("--seeds", nargs="+", type=int, default=(0, 1, 2))
    add("--part", help="i/n: every n-th run, from the i-th on")
    add("--variant", choices=("runlocal",), help="tiny runs, to try it out")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    command_line.set_up_log()
    todo = list(
        cells(
            arguments.data,
            arguments.bridges,
            arguments.bases,
            arguments.lengths,
            arguments.seeds,
        )
    )
    try:
        for cell in todo:
            config = cell.config(arguments.variant)
            experiment.checked_target(config, arguments.data_dir)
        run_missing(
            part_of(todo, arguments.part),
            workdir=arguments.workdir,
            results=arguments.results,
            variant=arguments.variant,
            data_dir=arguments.data_dir,
        )
        _draw(arguments.results, todo)
    except (ValueError, errors.NonFiniteError, errors.StorageError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
