"""Free energy and exact KL of a fitted flow on fresh samples."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.energies.fit import EnergyRun
from trainers.runs import provenance
from trainers.runs import workdir as workdirs

__all__ = ["density_grid", "evaluate"]


def density_grid(run: EnergyRun) -> tuple[np.ndarray, np.ndarray]:
    """The target and the fit on a grid of points that no sampler has made.

    Args:
      run: trained or restored.

    Returns:
      Two arrays `[G, G]` of densities, `z_2` along the rows from below and
      `z_1` along the columns.
    """
    settings = run.config.evaluation
    size, half_width = settings.grid_size, settings.half_width
    # The middles of the pixels.
    axis = half_width * ((2 * np.arange(size) + 1) / size - 1)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).astype(np.float32)
    points = tf.reshape(tf.constant(z), [-1, 2])
    return (
        np.exp(run.model.target.log_prob(z)),
        np.exp(run.model.log_prob(points)).reshape(size, size),
    )


def _fresh_terms(run: EnergyRun) -> tuple[np.ndarray, np.ndarray]:
    """Samples and their ln q - ln p~, in as many batches as it takes."""
    settings = run.config.evaluation
    num_batches = math.ceil(settings.num_samples / settings.batch_size)
    batches = [
        run.model.free_energy_terms(tf.constant(index))
        for index in range(num_batches)
    ]
    samples, terms = (
        np.concatenate(parts)[: settings.num_samples].astype(np.float64)
        for parts in zip(*batches, strict=True)
    )
    return samples, terms


def evaluate(run: EnergyRun, workdir: str) -> dict[str, Any]:
    """Evaluates the fit as it stands.

    Args:
      run: trained or restored.
      workdir: its directory, for the times in metrics.jsonl.

    Returns:
      What results.json holds. Energies and divergences are in nats.
    """
    config = run.config
    samples, terms = _fresh_terms(run)
    log = workdirs.MetricsLog(workdir)
    half_width = config.evaluation.half_width
    _, density = density_grid(run)
    pixel = (2 * half_width / config.evaluation.grid_size) ** 2
    return {
        "experiment": config.model.name,
        "target": run.model.target.name,
        "flow": config.posterior.flow,
        "num_flow_steps": config.posterior.num_flow_steps,
        "seed": config.training.seed,
        "free_energy": terms.mean(),
        "kl": terms.mean() + run.model.target.log_normalizer,
        "standard_error": terms.std(ddof=1) / math.sqrt(len(terms)),
        "log_normalizer": run.model.target.log_normalizer,
        "share_outside": float((abs(samples) > half_width).any(-1).mean()),
        "half_width": half_width,
        # Integral of exp(log_prob) over the square, by the figure's pixels.
        "density_inside": float(density.sum(dtype=np.float64) * pixel),
        "num_samples": len(terms),
        "num_steps": run.step,
        "num_parameters": run.num_parameters,
        "seconds_per_step": log.median_seconds_per_step(),
        **provenance.describe_end(),
        "config": config.to_dict(),
    }
