"""The command line that the benchmarks share: where the result goes."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

__all__ = [
    "add_output",
    "check_output",
    "positive_integer",
    "positive_integers",
    "write",
]


def add_output(parser: argparse.ArgumentParser, default: Path) -> None:
    """Adds `--quick`, `--out` and `--overwrite`."""
    parser.add_argument(
        "--quick", action="store_true", help="a small network, in minutes"
    )
    parser.add_argument("--out", type=Path, default=default)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing result"
    )


def check_output(
    parser: argparse.ArgumentParser, flags: argparse.Namespace
) -> None:
    """Ends the command unless `--out` can be written and may be."""
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


def write(results: dict[str, Any], out: Path) -> None:
    """Writes the JSON file."""
    out.write_text(json.dumps(results, indent=2) + "\n")
