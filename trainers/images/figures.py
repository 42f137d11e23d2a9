"""Pictures of a trained DLGM: what it makes, and what it makes of images."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib import figure

from tfp_flows import models
from trainers import flows
from trainers.runs import figures

__all__ = ["save_all"]

_ROWS = 8


def _decode(model: models.DLGM, z: np.ndarray) -> np.ndarray:
    """Mean images of latents `[..., D]`, `[..., H, W]`."""
    outputs = model.decode(tf.constant(z.reshape(-1, z.shape[-1])))
    means = model.likelihood.mean(
        outputs, event_ndims=outputs.shape.rank - 1
    ).numpy()
    return means.reshape(*z.shape[:-1], *model.image_shape)


def _traversals(model: models.DLGM, x: np.ndarray) -> np.ndarray:
    """Images along the latents that the posterior uses most, one per row."""
    z = model.posterior_mean(x).numpy()
    used = np.argsort(-z.var(axis=0), kind="stable")[:_ROWS]
    values = np.linspace(-2.5, 2.5, 11)
    latents = np.zeros([len(used), len(values), z.shape[1]], z.dtype)
    for row, index in enumerate(used):
        latents[row, :, index] = values
    return _decode(model, latents)


def save_all(
    directory: str,
    *,
    model: models.DLGM,
    images: np.ndarray,
    results: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
) -> None:
    """Samples, reconstructions, latent traversals and the learning curve.

    Args:
      directory: where to write the PNG files.
      model: the trained model.
      images: binary test images `[N, H, W]`.
      results: as in results.json.
      metrics: the lines of metrics.jsonl.
    """
    name = f"{results['dataset']}, posterior with "
    name += results["posterior_in_words"]
    if results["prior"] != "none":
        name += ", prior with " + flows.in_words(
            results["prior"], results["num_prior_steps"]
        )
    name += f", seed {results['seed']}"

    def path(stem: str) -> str:
        return os.path.join(directory, f"{stem}.png")

    samples = model.sample(_ROWS * 12, seed=results["seed"]).numpy()
    figures.save_tiles(
        path("samples"),
        samples.reshape(_ROWS, 12, *samples.shape[1:]),
        f"samples: {name}",
    )
    shown = images[:24]
    shown = shown[: len(shown) // 2 * 2]
    pairs = np.stack([shown, model.reconstruct(shown).numpy()], axis=1)
    # Two bands: images in a row, their reconstructions in the row below.
    half = len(pairs) // 2
    figures.save_tiles(
        path("reconstructions"),
        np.concatenate(
            [
                pairs[:half].transpose(1, 0, 2, 3),
                pairs[half:].transpose(1, 0, 2, 3),
            ]
        ),
        f"test images, reconstructions below: {name}",
    )
    figures.save_tiles(
        path("latent_traversals"),
        _traversals(model, images[:500]),
        f"the most used latents from -2.5 to 2.5: {name}",
    )
    fig = figure.Figure(figsize=(5.5, 3.7), layout="constrained")
    axes = fig.subplots()
    figures.draw_learning_curve(axes, metrics, results["bound"])
    words = "ELBO" if results["bound"] == "elbo" else "bound on the ELBO"
    axes.set_ylabel(f"{words}, nats per image")
    axes.set_title(name, fontsize=9)
    figures.save(fig, path("learning_curve"), dpi=130)
