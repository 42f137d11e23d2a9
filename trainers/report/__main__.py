"""Tables of README.md, made from the committed results.json files alone.

Differences image by image are those of the per_image.npz beside them.

    python -m trainers.report                     # prints the tables
    python -m trainers.report --write README.md   # between the markers
    python -m trainers.report --check README.md   # exit code 1 if they differ

A table stands between `<!-- report:energies -->` and
`<!-- /report:energies -->`, and so for the other names.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trainers.report import (
    benchmarks,
    cif,
    defaults,
    densities,
    energies,
    evidences,
    flows,
    hamiltonian,
    images,
    logistic_regression,
    mog,
    posteriors,
    sbibm,
    tpu_compile,
)

__all__ = ["main", "read_results", "replace_tables"]

Results = Sequence[dict[str, Any]]


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


_TABLES: dict[str, Callable[[Results], str]] = {
    "catalogue": flows.catalogue,
    "energies": energies.energies,
    "mixtures": mog.mixtures,
    "digits": images.digits,
    "mnist": images.mnist,
    "cif_images": cif.cif_images,
    "defaults": defaults.defaults,
    "densities_2d": densities.densities_2d,
    "uci_densities": densities.uci_densities,
    "made": densities.made,
    "sbibm": sbibm.sbibm,
    "evidences": evidences.evidences,
    "posteriors": posteriors.posteriors,
    "bridges": logistic_regression.bridges,
    "neutra": posteriors.neutra,
    "cif": benchmarks.cif,
    "density": benchmarks.density,
    "long_flow": benchmarks.long_flow,
    "flow_costs": flows.flow_costs,
    "gradient_estimators": benchmarks.gradient_estimators,
    "mixed_precision": benchmarks.mixed_precision,
    "hamiltonian": hamiltonian.hamiltonian,
    "marginal_likelihood": benchmarks.marginal_likelihood,
    "scaling": benchmarks.scaling,
    "training": benchmarks.training,
    "tpu_compile": tpu_compile.tpu_compile,
}


def replace_tables(text: str, results: Results) -> str:
    """Puts every table between its two markers.

    Args:
      text: of README.md.
      results: contents of the results.json files.

    Returns:
      The text with the tables of today.

    Raises:
      ValueError: if a table has no pair of markers in the text.
    """
    for name, make in _TABLES.items():
        start, end = f"<!-- report:{name} -->", f"<!-- /report:{name} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        counts = text.count(start), text.count(end), rest.count(end)
        if counts != (1, 1, 1):
            raise ValueError(
                f"The file must have {start} and {end} once, in this order."
            )
        text = f"{before}{start}\n{make(results)}\n{end}{after}"
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m trainers.report")
    parser.add_argument("--results", type=pathlib.Path, default="results")
    action = parser.add_mutually_exclusive_group()
    for name, text in (
        ("write", "put the tables into this file"),
        ("check", "fail if this file has other tables"),
    ):
        action.add_argument(
            f"--{name}",
            type=pathlib.Path,
            nargs="?",
            const="README.md",
            metavar="README.md",
            help=text,
        )
    arguments = parser.parse_args(argv)
    results = read_results(pathlib.Path(arguments.results))
    readme = arguments.write or arguments.check
    if readme is None:
        for name, make in _TABLES.items():
            sys.stdout.write(f"## {name}\n\n{make(results)}\n")
        return 0
    readme = pathlib.Path(readme)
    try:
        old = readme.read_text()
        new = replace_tables(old, results)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {readme}: {error}\n")
        return 2
    if arguments.write:
        readme.write_text(new)
    elif new != old:
        sys.stderr.write(
            f"error: the tables of {readme} are not those of "
            f"{arguments.results}; run python -m trainers.report "
            f"--write {readme}\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
