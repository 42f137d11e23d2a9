"""Test ELBO, its parts and log p(x) of a trained DLGM, image by image."""

import os
import sys
from typing import Any

import numpy as np
from absl import logging
from ml_collections import config_dict

from tfp_flows import models, posteriors
from trainers import posterior_layers
from trainers.images import data, pixels
from trainers.images.train import ImageRun
from trainers.runs import errors, estimates, provenance, saved_model
from trainers.runs import workdir as workdirs

__all__ = ["check_config", "evaluate"]

_POSITIVE = (
    "num_elbo_samples",
    "num_importance_samples",
    "num_images",
    "batch_size",
)


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses settings of the evaluation that cannot be run.

    Args:
      config: as made by `configs/image_defaults.py`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    if config.evaluation.fewer_importance_samples < 0:
        raise errors.InputError(
            "`evaluation.fewer_importance_samples` must be at least 0; got "
            f"{config.evaluation.fewer_importance_samples}."
        )
    for name in _POSITIVE:
        value = config.evaluation[name]
        if value < 1:
            raise errors.InputError(
                f"`evaluation.{name}` must be at least 1; got {value}."
            )


def _chosen(model: models.DLGM) -> dict[str, Any]:
    """What the library chose where the config leaves it open."""
    posterior = model.posterior
    if isinstance(posterior, posteriors.HamiltonianPosterior):
        posterior = posterior.base  # which has the flow
    return {
        "annealing": {
            "name": type(model.annealing).__name__,
            **model.annealing.get_config(),
        },
        "gradient_estimator": model.gradient_estimator,
        "context_scales": [
            flow.effective_context_scale for flow in posterior.flows
        ],
    }


def _importance_sampled(
    run: ImageRun, images: np.ndarray
) -> dict[str, np.ndarray]:
    """Estimates of log p(x) and their errors, for one number S or for two."""
    settings = run.config.evaluation
    found = {}
    for num_samples in (
        settings.fewer_importance_samples,
        settings.num_importance_samples,
    ):
        if num_samples:
            result = run.model.log_marginal_likelihood(
                images,
                num_samples,
                batch_size=settings.batch_size,
                verbose=int(sys.stderr.isatty()),
            )
            name = f"iwae_{num_samples}"
            found[name] = result.estimates
            found[f"{name}_standard_error"] = result.standard_errors
    return found


def evaluate(run: ImageRun, workdir: str) -> dict[str, Any]:
    """Evaluates the best weights, or the newest where none were validated.

    Args:
      run: restored or trained; its weights become the evaluated ones.
      workdir: its directory; gets best/model.keras and per_image.npz.

    Returns:
      What results.json holds. Bounds are means over test images, in nats.

    Raises:
      InputError: the best weights cannot be read.
      StorageError: a file could not be written.
    """
    config, settings = run.config, run.config.evaluation
    num_steps, is_finished = run.step, run.is_finished
    bound = run.watched
    evaluated_step, weights = run.take_best_weights(workdir), "newest"
    if run.was_validated:
        weights = "best validation ELBO"
        if bound != "elbo":
            weights += ", or rather the bound on it"
    saved_model.save_model(run, workdir)
    x = data.evaluation_images(run.splits, config, "test")
    logging.info(
        "Evaluating the %s weights, of step %s, on %s test images.",
        "best" if run.was_validated else "newest",
        f"{evaluated_step:,}",
        f"{len(x):,}",
    )
    bounds = run.model.bounds(
        x, settings.num_elbo_samples, batch_size=settings.batch_size
    )
    sampled = _importance_sampled(run, x[: settings.num_images])
    path = os.path.join(workdir, "per_image.npz")
    if run.devices.is_chief:
        workdirs.write_arrays(path, {**bounds, **sampled})
    log = workdirs.MetricsLog(workdir)
    is_cut = run.last_step < config.training.num_steps
    results = {
        "experiment": config.model.name,
        "dataset": run.splits.name,
        "posterior": config.posterior.name,
        "posterior_in_words": posterior_layers.in_words(config.posterior),
        "bound": bound,
        "flow": config.posterior.flow,
        "num_flow_steps": config.posterior.num_flow_steps,
        "prior": config.prior.flow,
        "num_prior_steps": config.prior.num_flow_steps,
        "num_stochastic_layers": config.model.num_stochastic_layers,
        "recipe": config.training.recipe,
        "seed": config.training.seed,
        **_chosen(run.model),
    }
    for name, values in (bounds | sampled).items():
        if not name.endswith("_standard_error"):
            results |= estimates.mean_and_error(name, values)
    if config.model.likelihood != "bernoulli":
        results["bits_per_dimension"] = pixels.bits_per_dimension(
            run.splits, config, results[bound]
        )
    return {
        **results,
        "num_elbo_samples": settings.num_elbo_samples,
        "num_importance_samples": settings.num_importance_samples,
        "fewer_importance_samples": settings.fewer_importance_samples,
        "num_iwae_images": len(x[: settings.num_images]),
        "protocol": data.protocol(run.splits, config),
        "num_steps": num_steps,
        "num_planned_steps": config.training.num_steps,
        "unfinished": is_cut or not is_finished,
        "stopped_early": run.stopped_early,
        "evaluated_weights": weights,
        "evaluated_step": evaluated_step,
        f"best_validation_{bound}": float(run.progress.best_elbo)
        if run.was_validated
        else None,
        "validation_nats_per_step": log.last_slope(f"val_{bound}"),
        "num_parameters": run.num_parameters,
        "num_replicas": run.strategy.num_replicas_in_sync,
        "seconds_per_step": log.median_seconds_per_step(),
        **provenance.describe_end(),
        "config": config.to_dict(),
    }
