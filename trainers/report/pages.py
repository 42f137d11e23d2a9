"""Which page has which table, and how its links lead from there."""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainers.report import (
    benchmarks,
    cif,
    defaults,
    densities,
    energies,
    evidences,
    flows,
    front,
    hamiltonian,
    images,
    libraries,
    logistic_regression,
    mog,
    posteriors,
    sbibm,
    tpu_compile,
)

__all__ = ["PAGES", "replace_tables"]

Results = Sequence[dict[str, Any]]

# By the page's path from the root of the repository.
PAGES: Mapping[str, Mapping[str, Callable[[Results], str]]] = {
    "README.md": {"highlights": front.highlights, "front": front.front},
    "docs/flows.md": {"catalogue": flows.catalogue},
    "docs/settings.md": {"defaults": defaults.defaults},
    "docs/results.md": {
        "energies": energies.energies,
        "mixtures": mog.mixtures,
        "digits": images.digits,
        "mnist": images.mnist,
        "cif_images": cif.cif_images,
        "densities_2d": densities.densities_2d,
        "uci_densities": densities.uci_densities,
        "made": densities.made,
        "sbibm": sbibm.sbibm,
        "evidences": evidences.evidences,
        "posteriors": posteriors.posteriors,
        "bridges": logistic_regression.bridges,
        "neutra": posteriors.neutra,
    },
    "docs/benchmarks.md": {
        "cif": benchmarks.cif,
        "peers": libraries.peers,
        "density": libraries.density,
        "long_flow": benchmarks.long_flow,
        "flow_costs": flows.flow_costs,
        "gradient_estimators": benchmarks.gradient_estimators,
        "mixed_precision": benchmarks.mixed_precision,
        "hamiltonian": hamiltonian.hamiltonian,
        "marginal_likelihood": benchmarks.marginal_likelihood,
        "scaling": benchmarks.scaling,
        "training": benchmarks.training,
        "tpu_compile": tpu_compile.tpu_compile,
    },
}
# Where it leads to, from the root of the repository.
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#]+)")


def replace_tables(page: str, text: str, results: Results) -> str:
    """Puts every table of a page between its two markers.

    Args:
      page: one of `PAGES`.
      text: what it says.
      results: contents of the results.json files.

    Returns:
      The text with the tables of today.

    Raises:
      ValueError: if a table has no pair of markers in the text.
    """
    for name, make in PAGES[page].items():
        start, end = f"<!-- report:{name} -->", f"<!-- /report:{name} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        counts = text.count(start), text.count(end), rest.count(end)
        if counts != (1, 1, 1):
            raise ValueError(
                f"The file must have {start} and {end} once, in this order."
            )
        table = _links_from(page, make(results))
        text = f"{before}{start}\n{table}\n{end}{after}"
    return text


def _links_from(page: str, table: str) -> str:
    folder = posixpath.dirname(page)

    def link(match: re.Match[str]) -> str:
        return f"]({posixpath.relpath(match[1], folder or '.')}"

    return _LINK.sub(link, table)
