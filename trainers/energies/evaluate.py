"""Free energy and divergence of a fit, on fresh samples."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.energies import planar
from trainers.energies.fit import EnergyRun
from trainers.runs import estimates, provenance
from trainers.runs import workdir as workdirs

__all__ = ["evaluate"]


def _batches(
    of_batch: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    num_samples: int,
    batch_size: int,
) -> Iterator[np.ndarray]:
    """What a function says of samples, in as many batches as it takes."""
    batches = [
        of_batch(tf.constant(index))
        for index in range(math.ceil(num_samples / batch_size))
    ]
    for parts in zip(*batches, strict=True):
        yield np.concatenate(parts)[:num_samples].astype(np.float64)


def _kl_bounds(run: EnergyRun) -> dict[str, Any]:
    """What brackets the divergence of a CIF."""
    settings = run.config.evaluation
    found: dict[str, Any] = {
        "num_auxiliary_samples": settings.num_auxiliary_samples
    }
    bounds = _batches(
        run.model.kl_bounds,
        settings.num_samples,
        settings.auxiliary_batch_size,
    )
    for name, terms in zip(("kl_upper", "kl_lower"), bounds, strict=True):
        found[name] = terms.mean() + run.model.target.log_normalizer
        found[f"{name}_standard_error"] = estimates.standard_error(terms)
    return found


def _log_mean_exp(values: np.ndarray) -> float:
    highest = values.max()
    return float(highest + np.log(np.exp(values - highest).mean()))


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
    settings = config.evaluation
    samples, terms = _batches(
        run.model.free_energy_terms, settings.num_samples, settings.batch_size
    )
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
        "standard_error": estimates.standard_error(terms),
        "log_normalizer": target.log_normalizer,
        "log_normalizer_estimate": _log_mean_exp(-terms),
    }
    if config.posterior.name in ("hamiltonian", "langevin"):
        results["num_bridges"] = config.posterior.num_bridges
    if config.posterior.name == "cif":
        results |= _kl_bounds(run)
    if planar.is_planar(target):
        results |= planar.describe(run, samples)
        planar.save_histogram(workdir, run, samples)
    else:
        results["curve"] = [
            [line["step"], line["free_energy"]] for line in log.read()
        ]
    return {
        **results,
        "num_samples": len(terms),
        "num_steps": run.step,
        "num_parameters": run.num_parameters,
        "seconds_per_step": log.median_seconds_per_step(),
        **provenance.describe_end(),
        "config": config.to_dict(),
    }
