"""A VAE, its posterior by splines, and these continuously indexed: images.

    python -m trainers.sweeps.cif --workdir=runs/cif --results=results/cif \
        --data_dir=<TFDS folder>

Every run keeps its own workdir and ends with `results.json` and, beside it, the
bounds of each test image, in `<results>/<data set>/<model>_seed<s>`. Runs that
have theirs are left alone, interrupted ones are continued; `--part=1/2` and
`--part=2/2` share them among two processes.
"""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence

from ml_collections import config_dict

from configs import fashion_mnist, mnist
from trainers.sweeps import command
from trainers.sweeps.run_images import run_images
from trainers.sweeps.run_missing import make_config

__all__ = ["MODELS", "Cell", "cells", "main"]

DATA = {"mnist": mnist.get_config, "fashion_mnist": fashion_mnist.get_config}
MODELS = {
    "vae": {"flow": "none"},
    "nsf": {"posterior": "flow"},
    "cif_nsf": {"posterior": "cif"},
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
        settings = {"recipe": "cif", **MODELS[self.model]}
        return make_config(DATA[self.dataset], settings, self.seed, variant)


def cells(
    data: Sequence[str], models: Sequence[str], seeds: Sequence[int]
) -> Iterator[Cell]:
    """All runs, seed by seed, so that every row of the table fills early."""
    for seed, dataset, model in itertools.product(seeds, data, models):
        yield Cell(dataset, model, seed)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = command.parser(
        "cif", "Trains a VAE, with splines and with a CIF, seed by seed."
    )
    command.add_shared(parser, "workdir", "results")
    add = parser.add_argument
    add("--data_dir", help="folder of TFDS data")
    add("--data", nargs="+", choices=tuple(DATA), default=tuple(DATA))
    add("--models", nargs="+", choices=tuple(MODELS), default=tuple(MODELS))
    command.add_shared(parser, "seeds", "part", "variant")
    arguments = command.parse(parser, argv)
    todo = list(cells(arguments.data, arguments.models, arguments.seeds))
    run_images(todo, arguments)


if __name__ == "__main__":
    main()
