"""Free energy and divergence of a fit, on fresh samples."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.energies import planar
from trainers.energies.fit import EnergyRun
from trainers.runs import provenance
from trainers.runs import workdir as workdirs

__all__ = ["evaluate"]


def _fresh_terms(run: EnergyRun) -> tuple[np.ndarray, np.ndarray]:
    """Samples and their free energies, in as many batches as it takes."""
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


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def evaluate(run: EnergyRun, workdir: str) -> dict[str, Any]:
    """Evaluates the fit as it stands.

    Args:
      run: trained or restored.
      workdir: its directory, for the times in metrics.jsonl; gets the histogram
        of the samples of a fit in the plane.

    Returns:
      What results.json holds. Energies and divergences are in nats. Where the
      posterior has no density, `auxiliary_kl` is an upper bound on the
      divergence; of a CIF, `kl_upper` and `kl_lower` are closer ones.

    Raises:
      StorageError: the histogram could not be written.
    """
    config, target = run.config, run.model.target
    has_density = run.model.posterior.has_density
    samples, terms = _fresh_terms(run)
    log = workdirs.MetricsLog(workdir)
    results = {
        "experiment": config.model.name,
        "target": target.name,
        "posterior": config.posterior.name,
        "flow": config.posterior.flow,
        "num_flow_steps": config.posterior.num_flow_steps,
        "seed": config.training.seed,
        "free_energy": terms.mean(),
        "kl" if has_density else "auxiliary_kl": terms.mean()
        + target.log_normalizer,
        "standard_error": _standard_error(terms),
        "log_normalizer": target.log_normalizer,
    }
    if target.event_shape == [2]:
        results |= planar.describe(run, samples)
        planar.save_histogram(workdir, run, samples)
    return {
        **results,
        "num_samples": len(terms),
        "num_steps": run.step,
        "num_parameters": run.num_parameters,
        "seconds_per_step": log.median_seconds_per_step(),
        **provenance.describe_end(),
        "config": config.to_dict(),
    }
