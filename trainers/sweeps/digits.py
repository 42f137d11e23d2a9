"""The digits with a planar flow and without, for several seeds.

    python -m trainers.sweeps.digits --workdir=runs/digits_sweep \
        --results=results/digits

A run takes about a minute on two cores, keeps its own workdir and ends with
`<results>/<flow>_K<k>_seed<s>/results.json` and, beside it, the bounds of each
test image, for paired differences. Runs that have their results.json are left
alone, interrupted ones are continued.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from ml_collections import config_dict

from configs import digits, image_defaults
from trainers.sweeps import command
from trainers.sweeps.run_images import run_images
from trainers.sweeps.run_missing import make_config

__all__ = ["Cell", "cells", "main"]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    flow: str
    seed: int

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        length = self.config().posterior.num_flow_steps
        return f"{self.flow}_K{length}_seed{self.seed}"

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings = {"flow": self.flow}
        config = make_config(digits.get_config, settings, self.seed, variant)
        # By default only flows are annealed; here all else is equal.
        config.training.annealing = "none"
        return config


def cells(flows: Sequence[str], seeds: Sequence[int]) -> Iterator[Cell]:
    """All runs, seed by seed, so that every seed is a pair early."""
    for seed, flow in itertools.product(seeds, flows):
        yield Cell(flow, seed)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = command.parser(
        "digits", "Trains with a flow and without, seed by seed."
    )
    command.add_shared(parser, "workdir", "results")
    parser.add_argument(
        "--flows",
        nargs="+",
        choices=image_defaults.FLOWS,
        default=("none", "planar"),
    )
    command.add_shared(parser, "seeds", default=(0, 1, 2, 3, 4))
    command.add_shared(parser, "variant")
    arguments = command.parse(parser, argv)
    run_images(list(cells(arguments.flows, arguments.seeds)), arguments)


if __name__ == "__main__":
    main()
