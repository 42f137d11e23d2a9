"""Tables of README.md, made from the committed results.json files alone.

Differences image by image are those of the per_image.npz beside them.

    python -m trainers.report                     # prints the tables
    python -m trainers.report --write README.md   # between the markers
    python -m trainers.report --check README.md   # exit code 1 if they differ

A table stands between `<!-- report:energies -->` and
`<!-- /report:energies -->`, and so for the other names.
"""

import argparse
import collections
import json
import pathlib
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trainers import report_benchmarks, report_images, report_text

__all__ = ["energies", "main", "read_results", "replace_tables"]

Results = Sequence[dict[str, Any]]


def read_results(directory: pathlib.Path) -> list[dict[str, Any]]:
    """All results.json files below `directory`, in the order of their paths.

    Each also gets what lies beside it: `per_image`, the arrays of
    per_image.npz, and `pictures`, paths that begin with the directory's name.
    """
    results = []
    for path in sorted(directory.rglob("results.json")):
        result = json.loads(path.read_text())
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


def _cell(runs: Results) -> str:
    """Median KL and, below it, the range over the seeds."""
    if not runs:
        return "-"
    kls = [run["kl"] for run in runs]
    median = f"{statistics.median(kls):.4f}"
    if len(kls) == 1:
        return median
    return f"**{median}** ({min(kls):.4f} to {max(kls):.4f})"


def _energies_caption(runs: Results) -> str:
    samples = report_text.joined([f"{run['num_samples']:,}" for run in runs])
    steps = report_text.joined([f"{run['num_steps']:,}" for run in runs])
    seeds = report_text.joined([run["seed"] for run in runs])
    error = max(run["standard_error"] for run in runs)
    outside = max(run["share_outside"] for run in runs)
    return (
        "Exact KL(q || p) = F + ln Z in nats after "
        f"{steps} steps ([config](configs/energy_2d.py)): median, lowest and "
        f"highest of seeds {seeds}, each on {samples} fresh samples with a "
        f"standard error of at most {error:.4f}; at most "
        f"{100 * outside:.3f} % of the samples outside the square [-5, 5]^2. "
        "The ms are the median step at the largest K. "
        f"{report_text.provenance(runs)}"
    )


def energies(results: Results) -> str:
    """The table of the two-dimensional energies.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table and its caption.
    """
    runs = [run for run in results if run.get("experiment") == "energy"]
    if not runs:
        return "Not measured: no results.json of this experiment."
    groups = collections.defaultdict(list)
    for run in runs:
        groups[run["target"], run["flow"], run["num_flow_steps"]].append(run)
    lengths = sorted({length for _, _, length in groups})
    header = [
        "target",
        "ln Z",
        "flow",
        *(f"KL, K = {length}" for length in lengths),
        f"parameters, K = {lengths[-1]}",
        "ms",
    ]
    rows = []
    for target, flow in sorted({key[:2] for key in groups}):
        found = [groups.get((target, flow, length), []) for length in lengths]
        first = next(runs_of_cell for runs_of_cell in found if runs_of_cell)[0]
        longest = found[-1]
        milliseconds = [1e3 * run["seconds_per_step"] for run in longest]
        rows.append(
            [
                target.upper(),
                f"{first['log_normalizer']:.4f}",
                flow,
                *(_cell(runs_of_cell) for runs_of_cell in found),
                report_text.joined([run["num_parameters"] for run in longest])
                or "-",
                f"{statistics.median(milliseconds):.2f}" if longest else "-",
            ]
        )
    lines = report_text.table(header, rows)
    return "\n".join([*lines, "", _energies_caption(runs)])


_TABLES: dict[str, Callable[[Results], str]] = {
    "energies": energies,
    "digits": report_images.digits,
    "mnist": report_images.mnist,
    "long_flow": report_benchmarks.long_flow,
    "gradient_estimators": report_benchmarks.gradient_estimators,
    "marginal_likelihood": report_benchmarks.marginal_likelihood,
    "training": report_benchmarks.training,
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
