"""Test log-likelihood of a trained density, and how good it could be."""

from typing import Any

import numpy as np
from absl import logging

from trainers.densities import planar
from trainers.densities.data import PlanarStream
from trainers.densities.train import DensityRun, in_words
from trainers.runs import estimates, provenance
from trainers.runs import workdir as workdirs

__all__ = ["evaluate"]


def evaluate(run: DensityRun, workdir: str) -> dict[str, Any]:
    """Evaluates the best weights, or the newest where none were validated.

    Args:
      run: restored or trained; its weights become the evaluated ones.
      workdir: its directory; gets the density of a model in the plane.

    Returns:
      What results.json holds. Log-likelihoods are means over test examples, in
      nats; of tables, of standardised targets.

    Raises:
      InputError: the best weights cannot be read.
      StorageError: the density could not be written.
    """
    config, log = run.config, workdirs.MetricsLog(workdir)
    num_steps = run.step
    evaluated_step = run.take_best_weights(workdir)
    logging.info(
        "Evaluating the %s weights, of step %s.",
        "best" if run.was_validated else "newest",
        f"{evaluated_step:,}",
    )
    log_likelihoods = run.log_likelihoods(run.data.test)
    results = {
        "experiment": config.model.name,
        "dataset": run.data.name,
        "model": in_words(config),
        "seed": config.training.seed,
        **estimates.mean_and_error("log_likelihood", log_likelihoods),
    }
    if isinstance(run.data, PlanarStream):
        results |= _in_the_plane(run, run.data, log_likelihoods, workdir)
    return {
        **results,
        "protocol": run.data.protocol,
        "num_steps": num_steps,
        "stopped_early": run.stopped_early,
        "evaluated_weights": "best validation log-likelihood"
        if run.was_validated
        else "newest",
        "evaluated_step": evaluated_step,
        "best_validation_log_likelihood": float(run.progress.best_elbo)
        if run.was_validated
        else None,
        "num_parameters": run.num_parameters,
        "num_replicas": run.strategy.num_replicas_in_sync,
        "seconds_per_step": log.median_seconds_per_step(),
        "seconds": log.seconds(),
        **provenance.describe_end(),
        "config": config.to_dict(),
    }


def _in_the_plane(
    run: DensityRun,
    data: PlanarStream,
    log_likelihoods: np.ndarray,
    workdir: str,
) -> dict[str, Any]:
    """How far the true density is, if it is known; whether all mass is there.

    The density itself is kept in the workdir.
    """
    found: dict[str, Any] = {}
    if data.source.log_prob is not None:
        known = data.source.log_prob(data.test.astype(np.float64))
        found = {
            "entropy": data.source.entropy,
            **estimates.mean_and_error("kl", known - log_likelihoods),
        }
    density = planar.density_grid(run)
    planar.save_density(workdir, density)
    half_width = run.config.evaluation.half_width
    pixel = (2.0 * half_width / len(density)) ** 2
    return {
        **found,
        "half_width": half_width,
        "density_inside": float(density.sum() * pixel),
    }
