"""The command line that the benchmarks share, and where the result goes."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

__all__ = [
    "finish",
    "parser",
    "positive_integer",
    "positive_integers",
    "settings",
    "show",
]


S = TypeVar("S", bound=tuple)


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """One with `--quick`, `--out` and `--overwrite`.

    Args:
      name: of the benchmark.
      description: its question.
    """
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        allow_abbrev=False,
    )
    made.add_argument(
        "--quick", action="store_true", help="a small network, in minutes"
    )
    made.add_argument(
        "--out",
        type=Path,
        default=Path(f"results/benchmarks/{name}/results.json"),
    )
    made.add_argument(
        "--overwrite", action="store_true", help="replace an existing result"
    )
    return made


def settings(
    parser: argparse.ArgumentParser,
    flags: argparse.Namespace,
    full: S,
    quick: S,
) -> S:
    """`full` or `quick`, a named tuple, with what flags of these names say.

    Ends the command unless `--out` can be written and may be.
    """
    _check_output(parser, flags)
    chosen: Any = quick if flags.quick else full
    given = {
        name: value
        for name, value in vars(flags).items()
        if name in chosen._fields and value is not None
    }
    return chosen._replace(**given)


def _check_output(
    parser: argparse.ArgumentParser, flags: argparse.Namespace
) -> None:
    if flags.out.exists() and not flags.overwrite:
        parser.error(
            f"`out` must not exist, unless with --overwrite; got {flags.out}."
        )
    try:
        flags.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"`out` must be writable; got {flags.out} ({error}).")
    if flags.out.is_dir() or not os.access(flags.out.parent, os.W_OK):
        parser.error(f"`out` must be a writable file; got {flags.out}.")


def positive_integers(name: str, least: int = 1) -> Any:
    """An argparse type: integers separated by commas, `least` or more."""

    def parse(text: str) -> tuple[int, ...]:
        try:
            values = tuple(int(word) for word in text.split(","))
        except ValueError:
            values = ()
        if not values or min(values) < least:
            rule = "positive integers" if least else "integers >= 0"
            raise argparse.ArgumentTypeError(
                f"`{name}` must be {rule} separated by commas; got {text!r}."
            )
        return values

    return parse


def positive_integer(name: str) -> Any:
    """An argparse type: one positive integer."""

    def parse(text: str) -> int:
        if not text.isdigit() or int(text) < 1:
            raise argparse.ArgumentTypeError(
                f"`{name}` must be a positive integer; got {text!r}."
            )
        return int(text)

    return parse


def show(line: str) -> None:
    """Prints progress, beside the table."""
    print(line, file=sys.stderr, flush=True)


def finish(
    results: dict[str, Any], out: Path, table: Callable[[list[Any]], str]
) -> None:
    """Writes the JSON file and prints the table.

    Args:
      results: the file's content.
      out: where it goes.
      table: makes it of a list of results.
    """
    out.write_text(json.dumps(results, indent=2) + "\n")
    print(table([results]))
