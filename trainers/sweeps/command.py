"""The command line that the sweeps share: flags, checks, and errors as a line.

What a sweep adds are its own flags, its cells, and what it draws at the end.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ml_collections import config_dict

from trainers.runs import command_line, errors
from trainers.sweeps.run_missing import (
    Cell,
    keep_results_json,
    part_of,
    run_missing,
)

__all__ = ["add_shared", "one_line_errors", "parse", "parser", "run"]

_SHARED: dict[str, dict[str, Any]] = {
    "workdir": {"required": True, "help": "directory of the runs' workdirs"},
    "results": {
        "required": True,
        "help": "directory of the results.json files",
    },
    "seeds": {"nargs": "+", "type": int, "default": (0, 1, 2)},
    "part": {"help": "i/n: every n-th run, from the i-th on"},
    "variant": {"choices": ("runlocal",), "help": "tiny runs, to try it out"},
}


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """One without flags.

    Args:
      name: of the sweep's module.
      description: a sentence.
    """
    return argparse.ArgumentParser(
        prog=f"python -m trainers.sweeps.{name}", description=description
    )


def add_shared(
    parser: argparse.ArgumentParser, *names: str, **changes: Any
) -> None:
    """Adds flags that several sweeps have, in that order.

    Args:
      parser: to add them to.
      *names: "workdir", "results", "seeds", "part" or "variant".
      **changes: of what `add_argument` is told.
    """
    for name in names:
        parser.add_argument(f"--{name}", **{**_SHARED[name], **changes})


def parse(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> argparse.Namespace:
    """The flags' values; sets up the log.

    Args:
      parser: with all flags.
      argv: the arguments. None for those of the process.
    """
    arguments = parser.parse_args(argv)
    command_line.set_up_log()
    return arguments


@contextlib.contextmanager
def one_line_errors(*others: type[Exception]) -> Iterator[None]:
    """Ends the process with one line where a run or a config is no good.

    Args:
      *others: errors to treat alike, beside those of `trainers.runs.errors`.
    """
    caught: tuple[type[Exception], ...] = (
        errors.InputError,
        errors.NonFiniteError,
        errors.StorageError,
        *others,
    )
    try:
        yield
    except caught as error:
        sys.exit(f"error: {error}")


def run(
    todo: Sequence[Cell],
    arguments: argparse.Namespace,
    *,
    check: Callable[[config_dict.ConfigDict], Any],
    keep: Callable[[str, str, Any], None] = keep_results_json,
) -> None:
    """Checks all configs, then runs those cells that have no results.json yet.

    Args:
      todo: the runs.
      arguments: with `workdir`, `results` and `variant`, as in `run_missing`,
        `data_dir` and `part`, if the sweep has them.
      check: refuses a config by an error.
      keep: see `run_missing`.

    Raises:
      InputError: `part` is none.
    """
    part = part_of(todo, getattr(arguments, "part", None))
    for cell in todo:
        check(cell.config(arguments.variant))
    run_missing(
        part,
        workdir=arguments.workdir,
        results=arguments.results,
        variant=arguments.variant,
        data_dir=getattr(arguments, "data_dir", None),
        keep=keep,
    )
