"""README's picture, of pictures that runs have kept.

    python -m trainers.report.pictures   # writes docs/pictures/front.png

Above the densities U1 to U4, below planar flows of K = 32 fitted to them,
beside them digits that a VAE has drawn.
"""

import argparse
import pathlib
from collections.abc import Sequence

import matplotlib.image
import numpy as np
from matplotlib import figure

__all__ = ["main", "panels"]

_ENERGIES = "energy_2d/energies.png"
_DIGITS = "mnist/sylvester_triangular_K8_seed0/figures/samples.png"
_DARK = 0.1
_COLUMNS, _SHOWN = 12, 8  # of the digits, and how many of them


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m trainers.report.pictures")
    parser.add_argument("--results", type=pathlib.Path, default="results")
    parser.add_argument("--to", default="docs/pictures/front.png")
    arguments = parser.parse_args(argv)
    results = pathlib.Path(arguments.results)
    energies = panels(matplotlib.image.imread(results / _ENERGIES))
    ((digits,),) = panels(matplotlib.image.imread(results / _DIGITS))

    fig = figure.Figure(figsize=(12.0, 4.0))
    grid = fig.add_gridspec(
        2, 6, wspace=0.03, hspace=0.03, left=0, right=1, bottom=0, top=0.93
    )
    for column, row in enumerate(energies):
        for line, panel in enumerate((row[0], row[-1])):
            axes = fig.add_subplot(grid[line, column])
            axes.imshow(panel)
            axes.set_axis_off()
    axes = fig.add_subplot(grid[:, 4:])
    axes.imshow(digits[:, : digits.shape[1] * _SHOWN // _COLUMNS])
    axes.set_axis_off()
    fig.text(1 / 3, 0.95, "energies, and planar flows fitted", ha="center")
    fig.text(5 / 6, 0.95, "digits drawn from a VAE", ha="center")
    fig.savefig(arguments.to, dpi=80)


def panels(picture: np.ndarray) -> list[list[np.ndarray]]:
    """The dark panels of a picture, row by row.

    Args:
      picture: `[H, W, C]`, the panels in a grid on a light ground.
    """
    is_dark = picture[..., :3].max(axis=-1) < _DARK
    rows = _spans(is_dark.mean(axis=1))
    columns = _spans(is_dark.mean(axis=0))
    return [[picture[row, column] for column in columns] for row in rows]


def _spans(share: np.ndarray) -> list[slice]:
    """Where the share of dark pixels is high, without interruption."""
    is_panel = np.concatenate([[False], share > 0.2, [False]])
    edges = np.flatnonzero(np.diff(is_panel.astype(int)))
    return [
        slice(int(start), int(stop))
        for start, stop in edges.reshape(-1, 2)
        if stop - start > 20
    ]


if __name__ == "__main__":
    main()
