"""Test log-likelihood of a trained density, and what it can be compared with."""

import math
from typing import Any

import numpy as np
from absl import logging

from trainers.densities import planar
from trainers.densities.data import PlanarStream
from trainers.densities.train import DensityRun, in_words
from trainers.runs import provenance
from trainers.runs import workdir as workdirs

__all__ = ["evaluate"]


def _mean_and_error(name: str, values: np.ndarray) -> dict[str, float]:
    """The mean over examples, and its standard error."""
    error = values.std(ddof=min(1, len(values) - 1)) / math.sqrt(len(values))
    return {
        name: float(values.mean()),
        f"{name}_standard_error": float(error),
    }


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
        **_mean_and_error("log_likelihood", log_likelihoods),
    }
    if isinstance(run.data, PlanarStream):
        source = run.data.source
        if source.log_prob is not None:
            known = source.log_prob(run.data.test.astype(np.float64))
            results |= {
                "entropy": source.entropy,
                **_mean_and_error("kl", known - log_likelihoods),
            }
        results |= planar.describe(run)
        planar.save(workdir, run)
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
