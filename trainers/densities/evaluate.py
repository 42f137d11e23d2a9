"""Test log-likelihood of a trained density, and how good it could be."""

import os
from typing import Any

import numpy as np
import tqdm
from absl import logging

from trainers.densities import planar, two_samples
from trainers.densities.data import PlanarStream, SimulatedRows, TableRows
from trainers.densities.train import DensityRun, in_words
from trainers.runs import estimates, provenance
from trainers.runs import workdir as workdirs

__all__ = ["evaluate", "read_test_log_likelihoods"]

_TEST_FILE = "test_log_likelihoods.npz"


def evaluate(run: DensityRun, workdir: str) -> dict[str, Any]:
    """Evaluates the best weights, or the newest where none were validated.

    Args:
      run: restored or trained; its weights become the evaluated ones.
      workdir: its directory; gets the density of a model in the plane, and the
        log-likelihood of each test row of a table.

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
    if isinstance(run.data, TableRows) and run.devices.is_chief:
        workdirs.write_arrays(
            os.path.join(workdir, _TEST_FILE), {"nats": log_likelihoods}
        )
    results = {
        "experiment": config.model.name,
        "dataset": run.data.name,
        "model": in_words(config),
        "seed": config.training.seed,
        **estimates.mean_and_error("log_likelihood", log_likelihoods),
    }
    if isinstance(run.data, PlanarStream):
        results |= _in_the_plane(run, run.data, log_likelihoods, workdir)
    elif isinstance(run.data, SimulatedRows):
        results |= _beside_references(run, run.data)
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


def read_test_log_likelihoods(workdir: str) -> np.ndarray:
    """Those of each test row, of a run on a table; `[N]`, in nats."""
    return workdirs.read_arrays(os.path.join(workdir, _TEST_FILE))["nats"]


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
    if run.devices.is_chief:
        planar.save_density(workdir, density)
    half_width = run.config.evaluation.half_width
    pixel = (2.0 * half_width / len(density)) ** 2
    return {
        **found,
        "half_width": half_width,
        "density_inside": float(density.sum() * pixel),
    }


def _beside_references(run: DensityRun, data: SimulatedRows) -> dict[str, Any]:
    """Two-sample tests of each observation's posterior, and their means."""
    observations, references = data.references
    references = references[:, : run.config.evaluation.num_reference_draws]
    num_draws = references.shape[1]
    draws = run.model.sample(
        num_draws, observations, seed=run.config.training.seed
    ).numpy()
    found: dict[str, list[float]] = {"c2st": [], "mmd2": []}
    for i, reference in enumerate(
        tqdm.tqdm(references, desc="two-sample tests", disable=None)
    ):
        found["c2st"].append(
            two_samples.classifier_two_sample_test(
                reference, draws[:, i], seed=i
            )
        )
        found["mmd2"].append(two_samples.squared_mmd(reference, draws[:, i]))
    return {
        "num_reference_draws": num_draws,
        **found,
        **{
            f"mean_{name}": float(np.mean(values))
            for name, values in found.items()
        },
    }
