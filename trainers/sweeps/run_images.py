"""What the sweeps over images share: what is checked and what is kept."""

import argparse
from collections.abc import Sequence
from typing import Any

from trainers.images import build
from trainers.images import keep as keep_results
from trainers.sweeps import command
from trainers.sweeps.run_missing import Cell

__all__ = ["run_images"]


def run_images(todo: Sequence[Cell], arguments: argparse.Namespace) -> None:
    """Checks all configs, then runs those cells that have no results.json yet.

    Ends the process with one line if a config or a run cannot be used.

    Args:
      todo: the runs.
      arguments: as `command.run` takes them.
    """
    with command.one_line_errors():
        command.run(todo, arguments, check=build.check_config, keep=_keep)


def _keep(workdir: str, results: str, found: Any) -> None:
    del found  # read again, from the workdir
    keep_results.keep(workdir, results, figures=())
