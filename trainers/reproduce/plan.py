"""Which runs a table asks for, where they stand, and how long they take."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import config_dict

from trainers.reproduce.table import BUDGETS, Row, Table
from trainers.runs import workdir as workdirs

__all__ = ["Job", "jobs_of", "lines"]


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a table: a row and a seed, under a budget.

    Attributes:
      table: it belongs to.
      name: of the table.
      row: of it.
      budget: see `BUDGETS`.
      seed: of the run.
      directory: of all runs of the command.
      data_path: of the images, where the table needs some; else empty.
    """

    table: Table
    name: str
    row: Row
    budget: str
    seed: int
    directory: str
    data_path: str = ""

    @property
    def workdir(self) -> str:
        """Its directory."""
        return self._place(self.budget)

    def _place(self, budget: str) -> str:
        run = f"{self.row.path}_seed{self.seed}"
        return os.path.join(self.directory, self.name, budget, run)

    def config(self) -> config_dict.ConfigDict:
        """Its configuration."""
        config = self.row.config(self.budget, self.seed, self.table.hours)
        if self.data_path:
            config.data.path = self.data_path
        return config

    def results(self) -> dict[str, Any] | None:
        """What results.json holds, if it is there."""
        path = os.path.join(self.workdir, "results.json")
        return workdirs.read_json(path) if tf.io.gfile.exists(path) else None

    def per_image(self) -> dict[str, np.ndarray]:
        """What the results are means of, by name; of images alone."""
        path = os.path.join(self.workdir, "per_image.npz")
        return workdirs.read_arrays(path) if tf.io.gfile.exists(path) else {}

    def steps_done(self) -> int:
        """The last step in the log; 0 before the first."""
        lines = workdirs.MetricsLog(self.workdir).read()
        return lines[-1]["step"] if lines else 0

    def seconds_per_step(self) -> float | None:
        """As measured in this run, or in one of another budget; None: never.

        That of the budget smoke is a run without XLA: an upper bound.
        """
        others = [b for b in reversed(BUDGETS) if b != self.budget]
        for budget in (self.budget, *others):
            log = workdirs.MetricsLog(self._place(budget))
            seconds = log.median_seconds_per_step()
            if seconds is not None:
                return seconds
        return None

    def steps_left(self) -> int:
        """Of training."""
        if self.results() is not None:
            return 0
        return max(self.config().training.num_steps - self.steps_done(), 0)


def jobs_of(
    name: str,
    table: Table,
    *,
    budget: str,
    seeds: Iterable[int],
    directory: str,
    data_path: str = "",
) -> list[Job]:
    """All runs of a table, seed by seed; for smoke of two rows alone.

    Args:
      name: of the table.
      table: what it asks for.
      budget: one of `BUDGETS`.
      seeds: of each row.
      directory: of all runs.
      data_path: see `Job`.
    """
    rows: Sequence[Row] = table.rows
    if budget == "smoke":
        rows = (rows[0], rows[-1])
    return [
        Job(table, name, row, budget, seed, directory, data_path)
        for seed in seeds
        for row in rows
    ]


def lines(jobs: Sequence[Job]) -> list[str]:
    """The plan in words: what is done, what is left, and for how long.

    A run of which no step has been measured is taken to be as slow as the
    slowest of its table.

    Args:
      jobs: all runs.
    """
    slowest: dict[str, float] = {}
    for job in jobs:
        seconds = job.seconds_per_step()
        if seconds is not None:
            slowest[job.name] = max(seconds, slowest.get(job.name, 0.0))
    found, hours, unknown = [], 0.0, 0
    for job in jobs:
        left = job.steps_left()
        state = "done"
        if left:
            steps = job.config().training.num_steps
            done = f"step {job.steps_done():,} of " if left < steps else ""
            state = f"{done}{steps:,} steps"
            seconds = job.seconds_per_step() or slowest.get(job.name)
            if seconds is None:
                unknown += 1
                state += ", of unknown length"
            else:
                about = "about" if job.seconds_per_step() else "at most about"
                state += f", {about} {seconds * left / 3600.0:.2f} h"
                hours += seconds * left / 3600.0
        found.append(f"{job.name}: {job.row.words}, seed {job.seed}: {state}")
    total = f"{len(jobs)} runs, about {hours:.1f} hours of training left"
    if unknown:
        total += (
            f", and {unknown} runs of unknown length: --budget=smoke measures "
            "some steps"
        )
    return [*found, f"{total}."]
