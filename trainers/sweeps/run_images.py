"""What the sweeps over images share: their checks, errors and what is kept."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from trainers.images import build
from trainers.images import keep as keep_results
from trainers.runs import errors
from trainers.sweeps.run_missing import Cell, run_missing

__all__ = ["run_images"]


def run_images(todo: Sequence[Cell], arguments: argparse.Namespace) -> None:
    """Checks all configs, then runs those cells that have no results.json yet.

    Ends the process with one line if a config or a run cannot be used.

    Args:
      todo: the runs.
      arguments: with `workdir`, `results` and `variant`, as in `run_missing`,
        and `data_dir`, if the sweep has it.
    """
    try:
        for cell in todo:
            build.check_config(cell.config(arguments.variant))
        run_missing(
            todo,
            workdir=arguments.workdir,
            results=arguments.results,
            variant=arguments.variant,
            data_dir=getattr(arguments, "data_dir", None),
            keep=_keep,
        )
    except (
        errors.InputError,
        errors.NonFiniteError,
        errors.StorageError,
    ) as error:
        sys.exit(f"error: {error}")


def _keep(workdir: str, results: str, found: Any) -> None:
    del found  # read again, from the workdir
    keep_results.keep(workdir, results, figures=())
