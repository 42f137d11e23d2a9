"""Tables of README and docs, made from the committed results.json files.

Differences image by image are those of the per_image.npz beside them.

    python -m trainers.report           # prints the tables
    python -m trainers.report --write   # between the markers of all pages
    python -m trainers.report --check   # exit code 1 if one differs

A table stands between `<!-- report:energies -->` and
`<!-- /report:energies -->`, and so for the other names; `trainers.report.pages`
says on which page.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainers.report.pages import PAGES, replace_tables

__all__ = ["main", "read_results"]


def read_results(directory: pathlib.Path) -> list[dict[str, Any]]:
    """All results.json files below `directory`, in the order of their paths.

    Each also gets `group`, the first folder on its way, and what lies beside
    it: `per_image`, the arrays of per_image.npz, and `pictures`, paths that
    begin with the directory's name.
    """
    results = []
    for path in sorted(directory.rglob("results.json")):
        result = json.loads(path.read_text())
        result["group"] = path.relative_to(directory).parts[0]
        arrays = path.with_name("per_image.npz")
        if arrays.exists():
            with np.load(arrays) as values:
                result["per_image"] = dict(values)
        result["pictures"] = {
            picture.stem: picture.relative_to(directory.parent).as_posix()
            for picture in sorted(path.parent.glob("figures/*.png"))
        }
        results.append(result)
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m trainers.report")
    parser.add_argument("--results", type=pathlib.Path, default="results")
    action = parser.add_mutually_exclusive_group()
    for name, text in (
        ("write", "put the tables into the pages of this folder"),
        ("check", "fail if they have other tables"),
    ):
        action.add_argument(
            f"--{name}",
            type=pathlib.Path,
            nargs="?",
            const=".",
            metavar="ROOT",
            help=text,
        )
    arguments = parser.parse_args(argv)
    results = read_results(pathlib.Path(arguments.results))
    root = arguments.write or arguments.check
    if root is None:
        for tables in PAGES.values():
            for name, make in tables.items():
                sys.stdout.write(f"## {name}\n\n{make(results)}\n")
        return 0
    try:
        pages = _pages(pathlib.Path(root), results)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    changed = [path for path, (old, new) in pages.items() if old != new]
    if arguments.write:
        for path in changed:
            path.write_text(pages[path][1], encoding="utf-8")
    elif changed:
        sys.stderr.write(
            f"error: the tables of {', '.join(map(str, changed))} are not "
            f"those of {arguments.results}; run python -m trainers.report "
            "--write\n"
        )
        return 1
    return 0


def _pages(
    root: pathlib.Path, results: Sequence[dict[str, Any]]
) -> dict[pathlib.Path, tuple[str, str]]:
    """What each page says, and what it says with the tables of today."""
    pages = {}
    for page in PAGES:
        path = root / page
        old = path.read_text(encoding="utf-8")
        try:
            pages[path] = old, replace_tables(page, old, results)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return pages


if __name__ == "__main__":
    sys.exit(main())
