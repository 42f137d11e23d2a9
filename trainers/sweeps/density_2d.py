"""Densities of two-dimensional data: data sets, flows, seeds.

    python -m trainers.sweeps.density_2d --workdir=runs/density_2d \
        --results=results/density_2d

Every run keeps its own workdir and ends with
`<results>/<data>/<flow>_seed<s>/results.json`, its density on a grid beside it.
Runs that have theirs are left alone, interrupted ones are continued;
`--part=1/2` and `--part=2/2` share them among two processes. At the end
`densities.png` shows the densities, of the run whose log-likelihood is the
median of its seeds; it is left as it is if runs are missing.
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

from configs import density_2d
from configs.flows import FLOWS
from trainers.densities import build, figures, planar, planar_data
from trainers.runs import planes
from trainers.runs import workdir as workdirs
from trainers.sweeps import command
from trainers.sweeps.run_missing import keep_files, make_config

__all__ = ["FLOWS_OF_TABLE", "Cell", "cells", "draw_densities", "main"]

FLOWS_OF_TABLE = ("planar", "maf", "spline_coupling", "spline_autoregressive")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    data: str
    flow: str
    seed: int

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        return os.path.join(self.data, f"{self.flow}_seed{self.seed}")

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings = {"data": self.data, "flow": self.flow}
        return make_config(density_2d.get_config, settings, self.seed, variant)


def cells(
    data: Sequence[str], flows: Sequence[str], seeds: Sequence[int]
) -> Iterator[Cell]:
    """All runs, seed by seed, so that every cell of the table fills early."""
    for seed, name, flow in itertools.product(seeds, data, flows):
        yield Cell(name, flow, seed)


def _median_run(results: str, group: Sequence[Cell]) -> tuple[str, str] | None:
    """Title and place of the run in the middle; None if one is missing."""
    found = []
    for cell in group:
        place = os.path.join(results, cell.path)
        path = os.path.join(place, "results.json")
        if not tf.io.gfile.exists(path):
            return None
        found.append((workdirs.read_json(path)["log_likelihood"], place))
    value, place = sorted(found)[(len(found) - 1) // 2]
    return f"{group[0].flow.replace('_', ' ')}: -ln p {-value:.3f}", place


def draw_densities(path: str, todo: Sequence[Cell], *, results: str) -> None:
    """Draws the densities that runs have kept.

    Args:
      path: where to write the PNG file; left as it is if a run is missing.
      todo: the runs of the sweep.
      results: directory of their results.
    """
    rows: dict[str, list[tuple[str, np.ndarray]]] = {}
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in todo:
        groups.setdefault((cell.data, cell.flow), []).append(cell)
    half_width = todo[0].config().evaluation.half_width
    for (data, _), group in groups.items():
        found = _median_run(results, group)
        if found is None:
            logging.info("Not all runs are there; %s is not drawn.", path)
            return
        density = planar.read_density(found[1])
        if data not in rows:
            samples = planar_data.PLANAR_DATA[data].samples(
                1_000_000, seed=0, purpose="picture"
            )
            shown = planes.density_of(samples, half_width, len(density))
            rows[data] = [("data", shown)]
        rows[data].append((found[0], density))
    with workdirs.writing(path):
        figures.save_densities(path, rows=rows, half_width=half_width)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(
        "density_2d", "Fits every flow to every data set, seed by seed."
    )
    command.add_shared(parser, "workdir", "results")
    add = parser.add_argument
    add("--data", nargs="+", choices=density_2d.DATA, default=density_2d.DATA)
    add(
        "--flows",
        nargs="+",
        choices=("none", *FLOWS),
        default=FLOWS_OF_TABLE,
    )
    command.add_shared(parser, "seeds", "part", "variant")
    return command.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    arguments = _parse(argv)
    todo = list(cells(arguments.data, arguments.flows, arguments.seeds))
    with command.one_line_errors():
        command.run(
            todo,
            arguments,
            check=build.check_config,
            keep=keep_files(planar.FILE),
        )
        draw_densities(
            os.path.join(arguments.results, "densities.png"),
            todo,
            results=arguments.results,
        )


if __name__ == "__main__":
    main()
