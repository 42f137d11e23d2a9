"""Amortised posteriors of simulators: tasks, numbers of simulations, seeds.

    python -m trainers.sweeps.sbibm --workdir=runs/sbibm --results=results/sbibm

Every run keeps its own workdir and ends with `results.json` and, beside it, a
picture of the ten posteriors, in `<results>/<task>/simulations<n>_seed<s>`.
Runs that have theirs are left alone, interrupted ones are continued;
`--part=1/2` and `--part=2/2` share them among two processes. It needs the files
of the package sbibm: `pip install --no-deps sbibm`.
"""

import argparse
import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence

from ml_collections import config_dict

from configs import sbibm
from trainers.densities import build
from trainers.sweeps import command
from trainers.sweeps.run_missing import keep_files, make_config

__all__ = ["Cell", "cells", "main"]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    data: str
    simulations: int
    seed: int

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        name = f"simulations{self.simulations}_seed{self.seed}"
        return os.path.join(self.data, name)

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings = {"data": self.data}
        if variant is None:
            settings["simulations"] = str(self.simulations)
        return make_config(sbibm.get_config, settings, self.seed, variant)


def cells(
    data: Sequence[str], simulations: Sequence[int], seeds: Sequence[int]
) -> Iterator[Cell]:
    """All runs, those with few simulations first."""
    for seed, n, name in itertools.product(seeds, sorted(simulations), data):
        yield Cell(name, n, seed)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser("sbibm", "Trains an amortised posterior per task.")
    command.add_shared(parser, "workdir", "results")
    add = parser.add_argument
    add("--data", nargs="+", choices=sbibm.DATA, default=sbibm.DATA)
    add("--simulations", nargs="+", type=int, default=(10_000, 100_000))
    command.add_shared(parser, "seeds", default=(0,))
    command.add_shared(parser, "part", "variant")
    return command.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    arguments = _parse(argv)
    todo = list(cells(arguments.data, arguments.simulations, arguments.seeds))
    with command.one_line_errors(ValueError):
        command.run(
            todo,
            arguments,
            check=build.check_config,
            keep=keep_files(os.path.join("figures", "posteriors.png")),
        )


if __name__ == "__main__":
    main()
