"""Pictures of a trained DLGM: what it makes, and what it makes of images."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib import axes as mpl_axes
from matplotlib import figure

from tfp_flows import models
from trainers import flows
from trainers.runs import figures, planes

__all__ = ["save_all"]

_ROWS, _COLUMNS = 8, 12
_NUM_MEANS = 6  # rows of samples; the others are draws
_TRAVERSED = np.linspace(-2.5, 2.5, 11)
_GRID_SIZE = 161  # of a plane of two latents
_NUM_SHOWN = 3  # images of which it is shown
_NUM_DRAWS = 500  # of each density, to find where it is

Draw = Callable[[mpl_axes.Axes], None]


class _Tiles(NamedTuple):
    """What `figures.draw_tiles` takes."""

    images: np.ndarray
    title: str
    row_labels: list[str]
    column_labels: Sequence[str] = ()

    def draw(self, axes: mpl_axes.Axes) -> None:
        """Draws them."""
        figures.draw_tiles(axes, *self)

    @property
    def size(self) -> tuple[float, float]:
        """Of a picture of them alone, in inches."""
        rows, columns, height, width = self.images.shape[:4]
        return 0.6 * columns + 0.5, 0.6 * rows * height / width + 0.6


def _decode(model: models.DLGM, z: np.ndarray) -> np.ndarray:
    """Mean images of latents `[..., D]`, `[..., H, W]`."""
    outputs = model.decode(tf.constant(z.reshape(-1, z.shape[-1])))
    means = model.likelihood.mean(
        outputs, event_ndims=outputs.shape.rank - 1
    ).numpy()
    return means.reshape(*z.shape[:-1], *model.image_shape)


def _samples(model: models.DLGM, seed: int) -> _Tiles:
    """Means of p(x | z), z from the prior; and draws at some of the same z."""
    means, draws = (
        model.sample(_ROWS * _COLUMNS, seed=seed, draws=draws).numpy()
        for draws in (False, True)
    )
    tiles = np.concatenate(
        [
            images.reshape(-1, _COLUMNS, *images.shape[1:])[:rows]
            for images, rows in ((means, _NUM_MEANS), (draws, None))
        ]
    )[:_ROWS]
    return _Tiles(
        tiles,
        "samples: z from the prior; means of p(x | z), and below draws of it "
        "at the first of the same z",
        row_labels=["means"] * _NUM_MEANS + ["draws"] * (_ROWS - _NUM_MEANS),
    )


def _reconstructions(model: models.DLGM, images: np.ndarray) -> _Tiles:
    """Two bands: images in a row, what is made of them in the row below."""
    half = max(min(len(images), 2 * _COLUMNS) // 2, 1)
    shown = images[np.arange(2 * half) % len(images)]
    made = model.reconstruct(shown).numpy()
    pairs = np.stack([shown.reshape(made.shape), made])
    bands = pairs.reshape(2, 2, half, *made.shape[1:])
    return _Tiles(
        np.concatenate([bands[:, 0], bands[:, 1]]),
        "test images, and means of p(x | z), z from q(z | x)",
        row_labels=["test", "model"] * 2,
    )


def _traversals(model: models.DLGM, x: np.ndarray) -> _Tiles:
    """Images along the latents that the posterior uses most, one per row."""
    z = model.posterior_mean(x).numpy()
    used = np.argsort(-z.var(axis=0), kind="stable")[:_ROWS]
    latents = np.zeros([len(used), len(_TRAVERSED), z.shape[1]], z.dtype)
    for row, index in enumerate(used):
        latents[row, :, index] = _TRAVERSED
    return _Tiles(
        _decode(model, latents),
        "means of p(x | z) along the latents that q(z | x) uses most, the "
        "others at 0",
        row_labels=[f"$z_{{{index}}}$" for index in used],
        column_labels=[f"{value:g}" for value in _TRAVERSED],
    )


def _save_planes(path: str, model: models.DLGM, images: np.ndarray) -> None:
    """Densities of two latents, of the base and behind the flow."""
    images = images[:_NUM_SHOWN]
    posterior = model.posterior_distribution(images)
    densities = {"q(z | x)": posterior}
    if isinstance(posterior, tfp.distributions.TransformedDistribution):
        densities = {
            "before the flow": posterior.distribution,
            "behind it, q(z | x)": posterior,
        }
    draws = np.concatenate(
        [density.sample(_NUM_DRAWS, seed=0) for density in densities.values()]
    )
    # Squares that hold both, one for each image.
    middles = draws.mean(axis=0)
    half_widths = 4.0 * draws.std(axis=0).max(axis=-1)
    points = middles + half_widths[:, np.newaxis] * planes.pixels(
        _GRID_SIZE, 1.0
    ).reshape(-1, 1, 2)
    fig = figure.Figure(
        figsize=(2.3 * len(images), 2.3 * (len(densities) + 1)),
        layout="constrained",
    )
    fig.suptitle("q(z | x) of two latents, for test images", fontsize=9)
    axes = fig.subplots(len(densities) + 1, len(images), squeeze=False)
    for column, image in enumerate(images):
        figures.draw_tiles(axes[0, column], image[None, None], "")
    for row, (words, density) in enumerate(densities.items(), 1):
        values = np.exp(density.log_prob(tf.constant(points, middles.dtype)))
        for column, (middle, half) in enumerate(
            zip(middles, half_widths, strict=True)
        ):
            x, y = middle
            axes[row, column].imshow(
                values[:, column].reshape(_GRID_SIZE, _GRID_SIZE),
                origin="lower",
                extent=(x - half, x + half, y - half, y + half),
                cmap="magma",
            )
            axes[row, column].tick_params(labelsize=6)
        axes[row, 0].set_ylabel(f"{words}: $z_1$", fontsize=8)
    for column in range(len(images)):
        axes[-1, column].set_xlabel("$z_0$", fontsize=8)
    figures.save(fig, path, dpi=130)


def _name(results: Mapping[str, Any]) -> str:
    name = f"{results['dataset']}, posterior with "
    name += results["posterior_in_words"]
    if results["prior"] != "none":
        name += ", prior with " + flows.in_words(
            results["prior"], results["num_prior_steps"]
        )
    return f"{name}, seed {results['seed']}"


def _learning_curve(
    axes: mpl_axes.Axes,
    metrics: Sequence[Mapping[str, Any]],
    results: Mapping[str, Any],
) -> None:
    bound = results["bound"]
    figures.draw_learning_curve(axes, metrics, bound)
    words = "ELBO" if bound == "elbo" else "bound on the ELBO"
    axes.set_ylabel(f"{words}, nats per image")
    axes.set_title(
        f"test {results[bound]:.2f} +- "
        f"{results[f'{bound}_standard_error']:.2f}, of the "
        f"{results['evaluated_weights']} weights, step "
        f"{results['evaluated_step']:,}",
        fontsize=9,
    )


def save_all(
    directory: str,
    *,
    model: models.DLGM,
    images: np.ndarray,
    results: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
) -> None:
    """Samples, reconstructions, latent traversals and the learning curve.

    Each as a picture of its own, and all on a contact sheet; where there are
    two latents, their densities for a few images, too.

    Args:
      directory: where to write the PNG files.
      model: the trained model.
      images: test images as the model takes them, `[N, H, W]` or
        `[N, H, W, C]`.
      results: as in results.json.
      metrics: the lines of metrics.jsonl.
    """
    tiles = {
        "samples": _samples(model, results["seed"]),
        "reconstructions": _reconstructions(model, images),
        "latent_traversals": _traversals(model, images[:500]),
    }
    pictures: dict[str, tuple[Draw, tuple[float, float]]] = {
        **{stem: (shown.draw, shown.size) for stem, shown in tiles.items()},
        "learning_curve": (
            lambda axes: _learning_curve(axes, metrics, results),
            (5.5, 3.7),
        ),
    }
    name = _name(results)
    for stem, (draw, size) in pictures.items():
        fig = figure.Figure(figsize=size, layout="constrained")
        fig.suptitle(name, fontsize=9)
        draw(fig.subplots())
        figures.save(fig, os.path.join(directory, f"{stem}.png"), dpi=130)
    sheet = figure.Figure(figsize=(14.0, 10.0), layout="constrained")
    sheet.suptitle(name, fontsize=11)
    for axes, (draw, _) in zip(
        sheet.subplots(2, 2).flat, pictures.values(), strict=True
    ):
        draw(axes)
    figures.save(sheet, os.path.join(directory, "contact_sheet.png"), dpi=130)
    if model.posterior.latent_size == 2 and model.posterior.has_density:
        _save_planes(os.path.join(directory, "posteriors.png"), model, images)
