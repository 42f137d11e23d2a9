"""A VAE, its posterior by splines, and these continuously indexed: images.

    python -m trainers.sweeps.cif --workdir=runs/cif --results=results/cif \
        --data_dir=<TFDS folder>

Every run keeps its own workdir and ends with `results.json` and, beside it, the
bounds of each test image, in `<results>/<data set>/<model>_seed<s>`. Runs that
have theirs are left alone, interrupted ones are continued; `--part=1/2` and
`--part=2/2` share them among two processes.
"""

import argparse
import dataclasses
import importlib
import itertools
import os
import sys
from collections.abc import Iterator, Sequence

from ml_collections import config_dict

from trainers.runs import command_line
from trainers.sweeps.run_images import run_images
from trainers.sweeps.run_missing import part_of

__all__ = ["MODELS", "Cell", "cells", "main"]

DATA = ("mnist", "fashion_mnist")
MODELS = {
    "vae": "flow=none",
    "nsf": "posterior=flow",
    "cif_nsf": "posterior=cif",
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    dataset: str
    model: str
    seed: int

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        return os.path.join(self.dataset, f"{self.model}_seed{self.seed}")

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        parts = ["recipe=cif", MODELS[self.model]]
        module = importlib.import_module(f"configs.{self.dataset}")
        config = module.get_config(
            ",".join([*parts, *([variant] if variant else [])])
        )
        config.training.seed = self.seed
        return config


def cells(
    data: Sequence[str], models: Sequence[str], seeds: Sequence[int]
) -> Iterator[Cell]:
    """All runs, seed by seed, so that every row of the table fills early."""
    for seed, dataset, model in itertools.product(seeds, data, models):
        yield Cell(dataset, model, seed)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.sweeps.cif",
        description="Trains a VAE, with splines and with a CIF, seed by seed.",
    )
    add = parser.add_argument
    add("--workdir", required=True, help="directory of the runs' workdirs")
    add("--results", required=True, help="directory of the results.json files")
    add("--data_dir", help="folder of TFDS data")
    add("--data", nargs="+", choices=DATA, default=DATA)
    add("--models", nargs="+", choices=tuple(MODELS), default=tuple(MODELS))
    add("--seeds", nargs="+", type=int, default=(0, 1, 2))
    add("--part", help="i/n: every n-th run, from the i-th on")
    add("--variant", choices=("runlocal",), help="tiny runs, to try it out")
    arguments = parser.parse_args(sys.argv[1:] if argv is None else argv)
    command_line.set_up_log()
    todo = list(cells(arguments.data, arguments.models, arguments.seeds))
    try:
        todo = part_of(todo, arguments.part)
    except ValueError as error:
        sys.exit(f"error: {error}")
    run_images(todo, arguments)


if __name__ == "__main__":
    main()
