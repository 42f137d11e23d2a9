"""Pictures of a trained density: what it is like, and what it makes."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import axes as mpl_axes
from matplotlib import figure

from trainers.densities import planar
from trainers.densities.data import PlanarStream, SimulatedRows, TableRows
from trainers.densities.train import DensityRun
from trainers.runs import figures, planes

__all__ = ["save_all", "save_densities"]

_COLOUR, _POINTS = "#7b2382", "#e0702a"
_ROWS, _COLUMNS = 6, 16  # of images
_NUM_INPUTS = 41  # on the axis of a fan
_NUM_DRAWS = 4_000  # for each of them
_NUM_POINTS = 1_000  # of a posterior
_LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def save_all(
    directory: str,
    *,
    run: DensityRun,
    results: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    workdir: str,
) -> None:
    """Writes the pictures that the data of a run ask for.

    Args:
      directory: where to.
      run: as it was evaluated.
      results: as `evaluate` returns them.
      metrics: the lines of metrics.jsonl.
      workdir: of the run.
    """

    def path(stem: str) -> str:
        return os.path.join(directory, f"{stem}.png")

    title = f"{results['dataset']}, {results['model']}, seed {results['seed']}"
    if isinstance(run.data, PlanarStream):
        _save_plane(path("density"), run, run.data, title, workdir)
    elif isinstance(run.data, TableRows):
        title += f", split {run.config.data.split}"
        _save_fan(path("fan"), run, run.data, title)
    elif isinstance(run.data, SimulatedRows):
        _save_posteriors(path("posteriors"), run, run.data, results, title)
    else:
        _save_images(path("samples"), run, title)
    fig = figure.Figure(figsize=(5.5, 3.7), layout="constrained")
    axes = fig.subplots()
    figures.draw_learning_curve(axes, metrics, "log_likelihood")
    axes.set_ylabel("log-likelihood, nats per example")
    axes.set_title(title, fontsize=9)
    figures.save(fig, path("learning_curve"), dpi=130)


def _save_plane(
    path: str, run: DensityRun, data: PlanarStream, title: str, workdir: str
) -> None:
    """Data, the density beside them, samples."""
    settings = run.config.evaluation
    half_width, size = settings.half_width, settings.grid_size
    fig = figure.Figure(figsize=(10.0, 3.6), layout="constrained")
    data_axes, density_axes, sample_axes = fig.subplots(1, 3)
    fig.suptitle(title, fontsize=10)
    histogram = planes.density_of(data.test, half_width, size)
    density = planar.read_density(workdir)
    highest = float(density.max())
    for axes, shown, words in (
        (data_axes, histogram, "test data"),
        (density_axes, density, "density"),
    ):
        figures.draw_density(axes, shown, half_width, highest)
        axes.set_title(words, fontsize=9)
    samples = run.model.sample(5_000, seed=run.config.training.seed).numpy()
    sample_axes.plot(*samples.T, ".", color=_COLOUR, markersize=1.0)
    sample_axes.set_xlim(-half_width, half_width)
    sample_axes.set_ylim(-half_width, half_width)
    sample_axes.set_aspect("equal")
    sample_axes.set_title("samples", fontsize=9)
    figures.save(fig, path, dpi=130)


def _most_telling_input(data: TableRows) -> int:
    """The one that correlates best with the first target, on training rows."""
    inputs, targets = data.table.train
    covariances = inputs.T @ (targets[:, 0] - targets[:, 0].mean())
    scales = inputs.std(axis=0)
    correlations = np.divide(
        covariances, scales, out=np.zeros_like(scales), where=scales > 0
    )
    return int(np.argmax(np.abs(correlations)))


def _save_fan(path: str, run: DensityRun, data: TableRows, title: str) -> None:
    """Quantiles of all targets along one input, the others at the middle."""
    inputs, targets = data.table.test
    chosen = _most_telling_input(data)
    axis = np.linspace(
        inputs[:, chosen].min(), inputs[:, chosen].max(), _NUM_INPUTS
    )
    contexts = np.tile(np.median(data.table.train[0], axis=0), [len(axis), 1])
    contexts[:, chosen] = axis
    drawn = run.model.sample(
        _NUM_DRAWS,
        contexts.astype(np.float32),
        seed=run.config.training.seed,
    ).numpy()
    quantiles = np.quantile(drawn, _LEVELS, axis=0)
    names = data.table.target_names
    fig = figure.Figure(
        figsize=(3.6 * len(names) + 0.6, 3.6), layout="constrained"
    )
    fig.suptitle(title, fontsize=10)
    for i, axes in enumerate(fig.subplots(1, len(names), squeeze=False)[0]):
        _draw_fan(axes, axis, quantiles[..., i])
        axes.plot(
            inputs[:, chosen], targets[:, i], ".", color=_POINTS, markersize=2.5
        )
        axes.set_xlabel(f"{data.table.input_names[chosen]}, standardised")
        axes.set_ylabel(f"{names[i]}, standardised")
    figures.save(fig, path, dpi=130)


def _draw_fan(
    axes: mpl_axes.Axes, x: np.ndarray, quantiles: np.ndarray
) -> None:
    """Bands between equal tails, `[L, N]`, and the median."""
    num_bands = len(quantiles) // 2
    for i in range(num_bands):
        axes.fill_between(
            x,
            quantiles[i],
            quantiles[-1 - i],
            color=_COLOUR,
            alpha=0.8 / num_bands,
            linewidth=0,
        )
    axes.plot(x, quantiles[num_bands], color=_COLOUR, linewidth=1.0)
    axes.spines[["top", "right"]].set_visible(False)


def _save_posteriors(
    path: str,
    run: DensityRun,
    data: SimulatedRows,
    results: Mapping[str, Any],
    title: str,
) -> None:
    """Draws of the first two parameters, given each observation."""
    observations, references = data.references
    num_shown = min(_NUM_POINTS, references.shape[1])
    draws = run.model.sample(
        num_shown, observations, seed=run.config.training.seed
    ).numpy()
    fig = figure.Figure(figsize=(11.0, 4.8), layout="constrained")
    fig.suptitle(
        f"{title}, {run.config.data.num_simulations:,} simulations: reference "
        "draws (orange), the flow's (purple)",
        fontsize=10,
    )
    for i, axes in enumerate(fig.subplots(2, len(references) // 2).flat):
        for points, colour in (
            (references[i, :num_shown], _POINTS),
            (draws[:, i], _COLOUR),
        ):
            axes.plot(
                *points[:, :2].T, ".", color=colour, markersize=1.2, alpha=0.5
            )
        axes.set_title(f"C2ST {results['c2st'][i]:.3f}", fontsize=8)
        axes.tick_params(labelsize=6)
    figures.save(fig, path, dpi=110)


def _save_images(path: str, run: DensityRun, title: str) -> None:
    """Samples above, test images below."""
    num_shown = _ROWS // 2 * _COLUMNS
    samples = run.model.sample(num_shown, seed=run.config.training.seed)
    shown = np.concatenate([samples.numpy(), run.data.test[:num_shown]])
    figures.save_tiles(
        path,
        shown.reshape(_ROWS, _COLUMNS, *shown.shape[1:]),
        title,
        row_labels=["samples"] * (_ROWS // 2) + ["test"] * (_ROWS // 2),
    )


def save_densities(
    path: str,
    *,
    rows: Mapping[str, Sequence[tuple[str, np.ndarray]]],
    half_width: float,
) -> None:
    """One row for each data set: the data, then densities.

    Args:
      path: where to write the PNG file.
      rows: name to (title, density) pairs; the first is the data's, whose
        highest value but one in a hundred ends the colour scale of the row.
      half_width: of the square that the densities cover.
    """
    num_columns = max(map(len, rows.values()))
    fig = figure.Figure(
        figsize=(2.1 * num_columns, 2.25 * len(rows)), layout="constrained"
    )
    grid = fig.subplots(len(rows), num_columns, squeeze=False)
    for row_axes, (name, row) in zip(grid, rows.items(), strict=True):
        highest = float(np.quantile(row[0][1], 0.99))
        for axes, (title, density) in zip(row_axes, row, strict=False):
            figures.draw_density(axes, density, half_width, highest)
            axes.set_title(title, fontsize=8)
        for axes in row_axes:
            axes.set_xticks([])
            axes.set_yticks([])
        row_axes[0].set_ylabel(name.replace("_", " "), fontsize=10)
    figures.save(fig, path, dpi=90)
