"""The whole energies experiment: targets, flows, lengths, seeds.

    python -m trainers.sweeps.energies --workdir=runs/energy_2d \
        --results=results/energy_2d

Every run keeps its own workdir and ends with one file
`<results>/<target>/<flow>_K<k>_seed<s>/results.json`. Runs that have theirs are
left alone, interrupted ones are continued. At the end `energies.png` shows the
planar flows, for each length the run whose KL is the median of its seeds, and
`energies_<flow>.png` another flow. A figure whose runs have lost their workdirs
is left as it is.
"""

import argparse
import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

from absl import logging
from ml_collections import config_dict

from configs import energy_2d
from trainers.energies import experiment, figures
from trainers.energies.fit import EnergyRun
from trainers.energies.planar import density_grid
from trainers.runs import errors
from trainers.runs import workdir as workdirs
from trainers.sweeps import command
from trainers.sweeps.run_missing import make_config

__all__ = ["Cell", "cells", "draw_energies", "figure_name", "main"]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of the sweep."""

    target: str
    flow: str
    num_flow_steps: int
    seed: int

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        name = f"{self.flow}_K{self.num_flow_steps}_seed{self.seed}"
        return os.path.join(self.target, name)

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings = {
            "target": self.target,
            "flow": self.flow,
            "K": self.num_flow_steps,
        }
        return make_config(energy_2d.get_config, settings, self.seed, variant)


def cells(
    targets: Sequence[str],
    flows: Sequence[str],
    lengths: Sequence[int],
    seeds: Sequence[int],
) -> Iterator[Cell]:
    """All runs, seed by seed, so that every cell of the table fills early."""
    for seed, length, target, flow in itertools.product(
        seeds, lengths, targets, flows
    ):
        yield Cell(target, flow, length, seed)


def _median_run(results: str, group: Sequence[Cell]) -> tuple[Cell, float]:
    """The cell with the median KL (the lower of the two middle ones)."""
    by_kl = sorted(
        (
            workdirs.read_json(
                os.path.join(results, cell.path, "results.json")
            )["kl"],
            cell,
        )
        for cell in group
    )
    kl, cell = by_kl[(len(by_kl) - 1) // 2]
    return cell, kl


def figure_name(flow: str) -> str:
    """The file that `draw_energies` makes of a flow."""
    return "energies.png" if flow == "planar" else f"energies_{flow}.png"


def draw_energies(
    path: str,
    todo: Sequence[Cell],
    *,
    workdir: str,
    results: str,
    flow: str = "planar",
    variant: str | None = None,
) -> None:
    """Draws the table of densities from the checkpoints of a sweep.

    Args:
      path: where to write the PNG file.
      todo: the runs of the sweep; those of other flows are left out.
      workdir: directory of their workdirs.
      results: directory of their results.json files.
      flow: the flow to draw.
      variant: see `Cell.config`.
    """
    rows: dict[str, list[Any]] = {}
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in todo:
        if cell.flow == flow:
            key = (cell.target, cell.num_flow_steps)
            groups.setdefault(key, []).append(cell)
    half_width = 0.0
    for (target, length), group in groups.items():
        cell, kl = _median_run(results, group)
        config = cell.config(variant)
        run = EnergyRun(config, experiment.checked_target(config))
        try:
            is_there = run.restore(os.path.join(workdir, cell.path))
        except errors.InputError as error:
            logging.warning("%s %s is left as it is.", error, path)
            return
        if not is_there:
            logging.warning(
                "%s has no checkpoint; %s is left as it is.", cell.path, path
            )
            return
        half_width = run.config.evaluation.half_width
        target_density, density = density_grid(run)
        row = rows.setdefault(target, [("target", target_density)])
        row.append((f"{flow}, K = {length}: KL = {kl:.4f}", density))
    if rows:
        figures.save_energies(path, rows=rows, half_width=half_width)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(
        "energies", "Fits every flow to every target, seed by seed."
    )
    command.add_shared(parser, "workdir", "results")
    add = parser.add_argument
    add("--targets", nargs="+", default=energy_2d.TARGETS)
    add("--flows", nargs="+", default=energy_2d.FLOWS)
    add("--lengths", nargs="+", type=int, default=(2, 8, 32))
    command.add_shared(parser, "seeds", "variant")
    return command.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    arguments = _parse(argv)
    todo = list(
        cells(
            arguments.targets,
            arguments.flows,
            arguments.lengths,
            arguments.seeds,
        )
    )
    with command.one_line_errors(ValueError):
        command.run(todo, arguments, check=experiment.checked_target)
        for flow in arguments.flows:
            draw_energies(
                os.path.join(arguments.results, figure_name(flow)),
                todo,
                workdir=arguments.workdir,
                results=arguments.results,
                flow=flow,
                variant=arguments.variant,
            )


if __name__ == "__main__":
    main()
