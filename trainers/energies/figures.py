"""Pictures of fitted densities, drawn without any global plotting state."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import axes as mpl_axes
from matplotlib import figure

from trainers.runs import figures

__all__ = [
    "WORDS",
    "kl_name",
    "save_curve",
    "save_energies",
    "save_fit",
    "save_mixtures",
]

# What readers are told of what results call so.
WORDS = {"kl": "KL", "auxiliary_kl": "KL bound"}

_LINE = "#7b2382"


def kl_name(results: Mapping[str, Any]) -> str:
    """What results call the divergence, or the bound that there is on it."""
    return "kl" if "kl" in results else "auxiliary_kl"


def _draw_learning_curve(
    axes: mpl_axes.Axes,
    metrics: Sequence[Mapping[str, Any]],
    log_normalizer: float,
) -> None:
    """The KL by steps, on two logarithmic scales."""
    steps = [line["step"] for line in metrics]
    kl = [line["free_energy"] + log_normalizer for line in metrics]
    axes.loglog(steps, kl, color=_LINE, linewidth=1.2)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("KL(q || p), nats")
    axes.grid(True, which="both", linewidth=0.3, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def save_fit(
    path: str,
    *,
    densities: tuple[np.ndarray, np.ndarray],
    results: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
) -> None:
    """Target, density behind the flow, learning curve.

    Args:
      path: where to write the PNG file.
      densities: of the target and of the fit, on the same grid.
      results: as in results.json.
      metrics: the lines of metrics.jsonl.
    """
    fig = figure.Figure(figsize=(11.0, 3.7), layout="constrained")
    target_axes, fit_axes, curve_axes = fig.subplots(1, 3)
    highest = float(np.max(densities[0]))
    half_width = results["half_width"]
    for axes, density in zip((target_axes, fit_axes), densities, strict=True):
        figures.draw_density(axes, density, half_width, highest)
        axes.set_xlabel("$z_1$")
    target_axes.set_ylabel("$z_2$")
    target_axes.set_title(f"target {results['target'].upper()}")
    name = kl_name(results)
    fit_axes.set_title(
        f"{results['flow']}, K = {results['num_flow_steps']}: {WORDS[name]} "
        f"= {results[name]:.4f} $\\pm$ {results['standard_error']:.4f}"
    )
    _draw_learning_curve(curve_axes, metrics, results["log_normalizer"])
    curve_axes.set_title(
        f"{results['num_parameters']} parameters, seed {results['seed']}"
    )
    figures.save(fig, path, dpi=130)


def save_curve(
    path: str,
    *,
    results: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
) -> None:
    """The learning curve of a fit.

    Args:
      path: where to write the PNG file.
      results: as in results.json.
      metrics: the lines of metrics.jsonl.
    """
    fig = figure.Figure(figsize=(5.0, 3.7), layout="constrained")
    axes = fig.subplots()
    _draw_learning_curve(axes, metrics, results["log_normalizer"])
    name = kl_name(results)
    axes.set_title(
        f"{results['target']}, {results['posterior']}: {WORDS[name]} = "
        f"{results[name]:.3f} $\\pm$ {results['standard_error']:.3f}"
    )
    figures.save(fig, path, dpi=130)


def save_energies(
    path: str,
    *,
    rows: Mapping[str, Sequence[tuple[str, np.ndarray]]],
    half_width: float,
) -> None:
    """One row for every target: the target, then flows of growing length.

    Args:
      path: where to write the PNG file.
      rows: target name to (title, density) pairs; the first is the target
        itself, whose highest density ends the colour scale of the row.
      half_width: of the square that the densities cover.
    """
    num_columns = len(next(iter(rows.values())))
    fig = figure.Figure(
        figsize=(2.1 * num_columns, 2.25 * len(rows)), layout="constrained"
    )
    grid = fig.subplots(len(rows), num_columns, squeeze=False)
    for row_axes, (name, row) in zip(grid, rows.items(), strict=True):
        highest = float(np.max(row[0][1]))
        for axes, (title, density) in zip(row_axes, row, strict=True):
            figures.draw_density(axes, density, half_width, highest)
            axes.set_title(title, fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
        row_axes[0].set_ylabel(name.upper(), fontsize=11)
    figures.save(fig, path, dpi=90)


def save_mixtures(
    path: str,
    *,
    rows: Mapping[str, Sequence[tuple[str, np.ndarray]]],
    half_width: float,
    modes: Sequence[tuple[float, float]],
) -> None:
    """Samples of fits to one mixture, whose modes are marked.

    Args:
      path: where to write the PNG file.
      rows: (title, density) pairs by any names. Their one colour scale ends
        at three times the target's highest density.
      half_width: of the square that the densities cover.
      modes: the means of the mixture's components.
    """
    num_columns = len(next(iter(rows.values())))
    fig = figure.Figure(
        figsize=(2.9 * num_columns, 3.1 * len(rows)), layout="constrained"
    )
    grid = fig.subplots(len(rows), num_columns, squeeze=False)
    highest = 3.0 / (len(modes) * 2.0 * np.pi * 0.25**2)
    for row_axes, row in zip(grid, rows.values(), strict=True):
        for axes, (title, density) in zip(row_axes, row, strict=True):
            figures.draw_density(axes, density, half_width, highest)
            axes.plot(*zip(*modes, strict=True), "+", color="white", ms=3)
            axes.set_title(title, fontsize=8)
            axes.set_xticks([])
            axes.set_yticks([])
    figures.save(fig, path, dpi=80)
