"""The digits with a planar flow, with Hamiltonian bridges and with neither.

    python -m trainers.sweeps.digits --workdir=runs/digits_sweep \
        --results=results/digits

For several seeds. A run takes about a minute on two cores, with bridges two or
three, keeps its own workdir and ends with
`<results>/<flow>_K<k>_seed<s>/results.json` and, beside it, the bounds of each
test image, for paired differences; `hamiltonian` stands for K Hamiltonian
bridges behind a Gaussian. Runs that have their results.json are left alone,
interrupted ones are continued.
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

_HAMILTONIAN = "hamiltonian"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    flow: str  # or "hamiltonian"
    seed: int

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        settings = self.config().posterior
        is_flow = self.flow != _HAMILTONIAN
        length = settings.num_flow_steps if is_flow else settings.num_bridges
        return f"{self.flow}_K{length}_seed{self.seed}"

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings = {"flow": self.flow}
        if self.flow == _HAMILTONIAN:
            settings = {
                "flow": "none",
                "posterior": "hamiltonian",
                "bridges": "4",
            }
        config = make_config(digits.get_config, settings, self.seed, variant)
        # By default only flows are annealed; here all else is equal.
        config.training.annealing = "none"
        return config


def cells(flows: Sequence[str], seeds: Sequence[int]) -> Iterator[Cell]:
    """All runs, seed by seed, so that every seed is compared early."""
    for seed, flow in itertools.product(seeds, flows):
        yield Cell(flow, seed)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = command.parser(
        "digits", "Trains with a flow, with bridges and without, by seeds."
    )
    command.add_shared(parser, "workdir", "results")
    parser.add_argument(
        "--flows",
        nargs="+",
        choices=(*image_defaults.FLOWS, _HAMILTONIAN),
        default=("none", "planar", _HAMILTONIAN),
    )
    command.add_shared(parser, "seeds", default=(0, 1, 2, 3, 4))
    command.add_shared(parser, "variant")
    arguments = command.parse(parser, argv)
    run_images(list(cells(arguments.flows, arguments.seeds)), arguments)


if __name__ == "__main__":
    main()
