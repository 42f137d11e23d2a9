"""Mixtures of Gaussians: lattices, widths of q_0, flows and CIFs, seeds.

    python -m trainers.sweeps.mog --workdir=runs/mog_2d --results=results/mog_2d

Every run keeps its own workdir and ends with `results.json` and, beside it, the
histogram of its samples, in
`<results>/mog<modes>/<posterior><hidden>_sigma<sigma0>_seed<s>`. Runs that have
their results.json are left alone, interrupted ones are continued; `--part=1/2`
and `--part=2/2` share them among two processes, one for each core. At the end
`mixtures.png` shows the nine modes from the histograms, for each width the run
whose divergence is the median of its seeds.
"""

import argparse
import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging
from ml_collections import config_dict

from configs import mog_2d
from tfp_flows import targets
from trainers.energies import experiment, figures, planar
from trainers.runs import workdir as workdirs
from trainers.sweeps import command
from trainers.sweeps.run_missing import keep_files, make_config

__all__ = ["Cell", "cells", "draw_mixtures", "main"]

# Posterior and units of a hidden layer. The second flow has as many weights as
# the CIF, and a few more.
MODELS = (("flow", 32), ("flow", 34), ("cif", 32))


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    modes: str
    sigma0: str
    posterior: str
    hidden: int
    seed: int

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        name = f"{self.posterior}{self.hidden}_sigma{self.sigma0}"
        return os.path.join(f"mog{self.modes}", f"{name}_seed{self.seed}")

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings = {
            "modes": self.modes,
            "sigma0": self.sigma0,
            "posterior": self.posterior,
            "hidden": self.hidden,
        }
        return make_config(mog_2d.get_config, settings, self.seed, variant)


def cells(
    modes: Sequence[str],
    scales: Sequence[str],
    models: Sequence[tuple[str, int]],
    seeds: Sequence[int],
) -> Iterator[Cell]:
    """All runs, seed by seed, so that every cell of the table fills early."""
    for seed, lattice, sigma0, (posterior, hidden) in itertools.product(
        seeds, modes, scales, models
    ):
        yield Cell(lattice, sigma0, posterior, hidden, seed)


def _median_run(
    results: str, group: Sequence[Cell]
) -> tuple[str, np.ndarray] | None:
    """Title and density of the run in the middle; None if one is missing."""
    found = []
    for cell in group:
        directory = os.path.join(results, cell.path)
        path = os.path.join(directory, "results.json")
        if not tf.io.gfile.exists(path):
            return None
        run = workdirs.read_json(path)
        kl = run.get("kl_upper", run[figures.kl_name(run)])
        found.append((kl, run["num_modes_found"], directory))
    kl, modes, directory = sorted(found)[(len(found) - 1) // 2]
    words = "CIF" if group[0].posterior == "cif" else "flow"
    title = f"{words}: KL {'< ' if words == 'CIF' else ''}{kl:.3f}, {modes}"
    return f"{title} modes", planar.read_histogram(directory)


def draw_mixtures(
    path: str,
    todo: Sequence[Cell],
    *,
    results: str,
    modes: str = "9",
    models: Sequence[tuple[str, int]] = (("cif", 32), ("flow", 32)),
) -> None:
    """Draws the samples of one lattice from the histograms that were kept.

    Args:
      path: where to write the PNG file; left as it is if a run is missing.
      todo: the runs of the sweep.
      results: directory of their results.
      modes: which lattice.
      models: one row for each, from above.
    """
    scales = list(dict.fromkeys(cell.sigma0 for cell in todo))
    rows: dict[str, list[tuple[str, np.ndarray]]] = {}
    for model in models:
        for sigma0 in scales:
            group = [
                cell
                for cell in todo
                if (cell.modes, cell.sigma0) == (modes, sigma0)
                and (cell.posterior, cell.hidden) == model
            ]
            found = _median_run(results, group) if group else None
            if found is None:
                logging.info("Not all runs are there; %s is not drawn.", path)
                return
            title = f"$\\sigma_0$ = {sigma0}, {found[0]}"
            rows.setdefault(model[0], []).append((title, found[1]))
    config = todo[0].config()
    figures.save_mixtures(
        path,
        rows=rows,
        half_width=config.evaluation.half_width,
        modes=targets.get(f"mog{modes}").modes,
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(
        "mog", "Fits flows and CIFs to mixtures, seed by seed."
    )
    names = {f"{posterior}{n}": (posterior, n) for posterior, n in MODELS}
    command.add_shared(parser, "workdir", "results")
    add = parser.add_argument
    add("--modes", nargs="+", choices=mog_2d.MODES, default=mog_2d.MODES)
    add("--scales", nargs="+", choices=mog_2d.SCALES, default=mog_2d.SCALES)
    add("--models", nargs="+", choices=tuple(names), default=tuple(names))
    command.add_shared(parser, "seeds", "part", "variant")
    arguments = command.parse(parser, argv)
    arguments.models = [names[name] for name in arguments.models]
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    arguments = _parse(argv)
    todo = list(
        cells(
            arguments.modes,
            arguments.scales,
            arguments.models,
            arguments.seeds,
        )
    )
    with command.one_line_errors(ValueError):
        command.run(
            todo,
            arguments,
            check=experiment.checked_target,
            keep=keep_files("histogram.npz"),
        )
        draw_mixtures(
            os.path.join(arguments.results, "mixtures.png"),
            todo,
            results=arguments.results,
        )


if __name__ == "__main__":
    main()
