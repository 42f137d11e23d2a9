"""Pictures of a run as files, made without any global plotting state."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib import axes as mpl_axes
from matplotlib import figure

__all__ = [
    "draw_density",
    "draw_learning_curve",
    "draw_tiles",
    "save",
    "save_tiles",
]

_GUTTER_COLOUR = 0.85  # a light grey
_TRAINING, _VALIDATION = "#7b2382", "#e0702a"


def save(fig: figure.Figure, path: str, dpi: int) -> None:
    """Writes a figure as a PNG file whose bytes depend on nothing else.

    Args:
      fig: the figure.
      path: where to.
      dpi: pixels per inch.
    """
    buffer = io.BytesIO()
    # No date or software version in the file: equal pictures, equal bytes.
    fig.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(buffer.getvalue())


def _gutter(images: np.ndarray) -> int:
    """How many pixels lie between two images."""
    return max(1, images.shape[2] // 14)


def _tiles(images: np.ndarray) -> np.ndarray:
    """`[R, C, H, W]` or `[R, C, H, W, channels]` to one colour picture."""
    images = images[..., np.newaxis] if images.ndim == 4 else images
    if images.shape[-1] != 3:  # grey, or channels that are no colours
        images = np.repeat(images.mean(-1, keepdims=True), 3, axis=-1)
    rows, columns, height, width, _ = images.shape
    gutter = _gutter(images)
    images = np.pad(
        images,
        [(0, 0)] * 2 + [(0, gutter)] * 2 + [(0, 0)],
        constant_values=_GUTTER_COLOUR,
    )
    return images.transpose(0, 2, 1, 3, 4).reshape(
        rows * (height + gutter), columns * (width + gutter), 3
    )[:-gutter, :-gutter]


def draw_tiles(
    axes: mpl_axes.Axes,
    images: np.ndarray,
    title: str,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> None:
    """Draws images side by side, with gutters between them.

    Args:
      axes: where to.
      images: `[R, C, H, W]` or `[R, C, H, W, channels]`; what lies outside of
        [0, 1] is black or white.
      title: above them.
      row_labels: R words; none by default.
      column_labels: C words.
    """
    height, width = (n + _gutter(images) for n in images.shape[2:4])
    axes.imshow(np.clip(_tiles(images), 0.0, 1.0), interpolation="nearest")
    axes.set_xticks(
        (np.arange(len(column_labels)) + 0.5) * width - 1, column_labels
    )
    axes.set_yticks((np.arange(len(row_labels)) + 0.5) * height - 1, row_labels)
    axes.tick_params(length=0, labelsize=7, pad=2)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=9)


def save_tiles(
    path: str, images: np.ndarray, title: str, **labels: Sequence[str]
) -> None:
    """Writes images as one picture.

    Args:
      path: where to write the PNG file.
      images: as in `draw_tiles`.
      title: above them.
      **labels: `row_labels` and `column_labels`, as in `draw_tiles`.
    """
    rows, columns, height, width = images.shape[:4]
    fig = figure.Figure(
        figsize=(0.6 * columns + 0.5, 0.6 * rows * height / width + 0.5),
        layout="constrained",
    )
    draw_tiles(fig.subplots(), images, title, **labels)
    save(fig, path, dpi=130)


def draw_density(
    axes: mpl_axes.Axes,
    density: np.ndarray,
    half_width: float,
    highest: float,
) -> None:
    """Draws a density on a square around the origin.

    Args:
      axes: where to.
      density: `[G, G]`, the second coordinate along the rows from below.
      half_width: of the square.
      highest: the density at the end of the colour scale.
    """
    axes.imshow(
        density,
        origin="lower",
        extent=[-half_width, half_width] * 2,
        cmap="magma",
        vmin=0.0,
        vmax=highest,
        interpolation="bilinear",
    )
    ticks = [-4, -2, 0, 2, 4]
    axes.set_xticks([tick for tick in ticks if abs(tick) <= half_width])
    axes.set_yticks([tick for tick in ticks if abs(tick) <= half_width])


def draw_learning_curve(
    axes: mpl_axes.Axes, metrics: Sequence[Mapping[str, Any]], name: str
) -> None:
    """Draws a metric by steps, of training and of validation, and its last.

    Args:
      axes: where to; without titles.
      metrics: the lines of metrics.jsonl.
      name: of the metric.
    """
    keys = (name, f"val_{name}")
    for key, label, colour in zip(
        keys,
        ("training", "validation"),
        (_TRAINING, _VALIDATION),
        strict=True,
    ):
        lines = [line for line in metrics if key in line]
        if lines:
            axes.plot(
                [line["step"] for line in lines],
                [line[key] for line in lines],
                color=colour,
                label=f"{label}, {lines[-1][key]:.2f} at the end",
                linewidth=1.2,
            )
    axes.set_xscale("log")
    # The first tenth is a rise from far below, which would flatten the rest.
    late = [
        line[key]
        for line in metrics[len(metrics) // 10 :]
        for key in keys
        if key in line
    ]
    if late:
        margin = 0.1 * (max(late) - min(late)) + 1e-3
        axes.set_ylim(min(late) - margin, max(late) + margin)
    axes.set_xlabel("optimizer step")
    axes.grid(True, which="both", linewidth=0.3, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
