"""The picture of bounds that bridges raise, by their number and by steps."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import axes as mpl_axes
from matplotlib import figure

from trainers.energies.figures import kl_name
from trainers.runs import figures

__all__ = ["save_bridges"]

_COLOURS = {"diagonal": "#7b2382", "full": "#d1662c"}
_STYLES = {"hamiltonian": "-", "langevin": "--", "flow": ":"}
_MARKS = {"hamiltonian": "o", "langevin": "s"}


def _length(run: dict[str, Any]) -> int:
    return run.get("num_bridges", 0)


def _base(run: dict[str, Any]) -> str:
    return run["config"]["posterior"]["base"]


def _draw_bounds(axes: mpl_axes.Axes, runs: Sequence[dict[str, Any]]) -> None:
    """The mean gap over the seeds against K, from the Gaussian alone on."""
    gaps = collections.defaultdict(list)
    for run in runs:
        key = (_base(run), run["posterior"], _length(run))
        gaps[key].append(run[kl_name(run)])
    lengths = sorted({length for _, _, length in gaps})
    for base, colour in _COLOURS.items():
        for name, mark in _MARKS.items():
            points = [
                (i, np.mean(gaps[key]))
                for i, length in enumerate(lengths)
                if (key := (base, name if length else "flow", length)) in gaps
            ]
            if len(points) > 1:
                axes.plot(
                    *zip(*points, strict=True),
                    marker=mark,
                    linestyle=_STYLES[name],
                    color=colour,
                    label=f"{name}, {base}",
                )
    axes.set_xticks(range(len(lengths)), [str(length) for length in lengths])
    axes.set_xlabel("bridges K (0: the Gaussian alone)")
    axes.set_yscale("log")
    axes.legend(fontsize=7)


def _draw_curves(axes: mpl_axes.Axes, runs: Sequence[dict[str, Any]]) -> None:
    """One run for each of the longest, and for the Gaussians alone."""
    longest = max(map(_length, runs))
    shown: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        if _length(run) in (0, longest):
            shown.setdefault((_base(run), run["posterior"]), run)
    for (base, name), run in sorted(shown.items()):
        steps, free_energies = zip(*run["curve"], strict=True)
        gap = np.array(free_energies) + run["log_normalizer"]
        words = f"{name}, K = {longest}" if _length(run) else "Gaussian"
        axes.plot(
            steps,
            gap,
            color=_COLOURS[base],
            linestyle=_STYLES[name],
            label=f"{words}, {base}",
        )
    axes.set_xlabel("optimizer step")
    axes.set_yscale("log")
    axes.legend(fontsize=7)


def save_bridges(path: str, runs: Sequence[dict[str, Any]]) -> None:
    """One row for each target: gaps of bounds by K, and by steps.

    Args:
      path: where to write the PNG file.
      runs: contents of results.json files.
    """
    targets = list(dict.fromkeys(run["target"] for run in runs))
    if not targets:
        return
    fig = figure.Figure(figsize=(9.0, 3.5 * len(targets)), layout="constrained")
    grid = fig.subplots(len(targets), 2, squeeze=False)
    for (by_length, by_step), target in zip(grid, targets, strict=True):
        found = [run for run in runs if run["target"] == target]
        _draw_bounds(by_length, found)
        _draw_curves(by_step, found)
        by_length.set_ylabel("ln Z - bound, nats")
        for axes in (by_length, by_step):
            axes.set_title(target, fontsize=10)
            axes.grid(True, which="both", linewidth=0.3, alpha=0.5)
            axes.spines[["top", "right"]].set_visible(False)
    figures.save(fig, path, dpi=90)
