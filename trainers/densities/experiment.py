"""Densities of data, from the config to results and pictures."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from trainers.densities import build, data, figures, reuse
from trainers.densities.evaluate import evaluate
from trainers.densities.train import DensityRun
from trainers.runs import experiment
from trainers.runs import workdir as workdirs

__all__ = ["EXPERIMENT", "prepare", "reusing_models"]


def prepare(
    config: config_dict.ConfigDict,
    strategy: tf.distribute.Strategy,
    data_dir: str | None,
) -> Callable[..., DensityRun]:
    """Checks a config whole and reads its data; the model is made later.

    Raises:
      InputError: if the config or the data cannot be used.
    """
    build.check_config(config, strategy.num_replicas_in_sync)
    found = data.load(config, data_dir)
    return functools.partial(DensityRun, config, found, strategy)


def draw(
    run: DensityRun, directory: str, results: Mapping[str, Any], workdir: str
) -> None:
    """The density beside data, samples or a fan, and the learning curve.

    Args:
      run: as it was evaluated.
      directory: where to write them.
      results: as `evaluate` returns them.
      workdir: of the run.
    """
    if run.config.evaluation.pictures:
        figures.save_all(
            directory,
            run=run,
            results=results,
            metrics=workdirs.MetricsLog(workdir).read(),
            workdir=workdir,
        )


def summary(results: Mapping[str, Any], directory: str) -> str:
    """One line for the person who waited.

    Args:
      results: as `evaluate` returns them.
      directory: where the pictures are.
    """
    error = results["log_likelihood_standard_error"]
    text = (
        f"{results['dataset']}, {results['model']}, test, nats per example: "
        f"-ln p {-results['log_likelihood']:.4f} +- {error:.4f}"
    )
    if "entropy" in results:
        text += f" (entropy {results['entropy']:.4f})"
    if results["config"]["evaluation"]["pictures"]:
        text += f"; pictures in {directory}"
    return text


EXPERIMENT = experiment.Experiment(prepare, evaluate, draw, summary)


def reusing_models() -> experiment.Experiment:
    """The same for runs one after the other, which share compiled models."""
    models = reuse.Reuse()

    def prepare_reusing(*arguments: Any) -> Callable[[], DensityRun]:
        return functools.partial(prepare(*arguments), models=models)

    return EXPERIMENT._replace(prepare=prepare_reusing)
