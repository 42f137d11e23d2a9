"""MADE on statically binarised MNIST: widths, numbers of masks, seeds.

    python -m trainers.sweeps.made --workdir=runs/made --results=results/made \
        --data_dir=<TFDS folder> --hidden 500 1000 2000 4000 8000 --masks 1 32

Every run keeps its own workdir and ends with
`<results>/hidden<units>_layers<l>_masks<m>_<order>_seed<s>/results.json` and,
beside it, samples. Runs that have theirs are left alone, interrupted ones are
continued; `--part=1/2` and `--part=2/2` share them among two processes.
"""

import argparse
import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence

from ml_collections import config_dict

from configs import binarized_mnist
from configs.binarized_mnist import ORDERS
from trainers.densities import build
from trainers.sweeps import command
from trainers.sweeps.run_missing import keep_files, make_config

__all__ = ["Cell", "cells", "main"]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    hidden: int
    layers: int
    masks: int
    order: str
    seed: int

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        return (
            f"hidden{self.hidden}_layers{self.layers}_masks{self.masks}_"
            f"{self.order}_seed{self.seed}"
        )

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings = {
            "model": "made",
            "hidden": self.hidden,
            "layers": self.layers,
            "masks": self.masks,
            "order": self.order,
        }
        return make_config(
            binarized_mnist.get_config, settings, self.seed, variant
        )


def cells(
    hidden: Sequence[int],
    layers: Sequence[int],
    masks: Sequence[int],
    orders: Sequence[str],
    seeds: Sequence[int],
) -> Iterator[Cell]:
    """All runs, the smaller ones first."""
    for seed, units, depth, count, order in itertools.product(
        seeds, sorted(hidden), sorted(layers), sorted(masks), orders
    ):
        yield Cell(units, depth, count, order, seed)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser("made", "Trains MADEs, the smaller ones first.")
    command.add_shared(parser, "workdir", "results")
    add = parser.add_argument
    add("--data_dir", help="folder of TFDS data")
    add("--hidden", nargs="+", type=int, default=(500, 1000, 2000))
    add("--layers", nargs="+", type=int, default=(1,))
    add("--masks", nargs="+", type=int, default=(1, 32))
    add("--orders", nargs="+", choices=ORDERS, default=("random",))
    command.add_shared(parser, "seeds", default=(0,))
    command.add_shared(parser, "part", "variant")
    return command.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    arguments = _parse(argv)
    todo = list(
        cells(
            arguments.hidden,
            arguments.layers,
            arguments.masks,
            arguments.orders,
            arguments.seeds,
        )
    )
    with command.one_line_errors(ValueError):
        command.run(
            todo,
            arguments,
            check=build.check_config,
            keep=keep_files(os.path.join("figures", "samples.png")),
        )


if __name__ == "__main__":
    main()
