"""Models of images, from the config to results and pictures."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from trainers.images import build, data, figures, train
from trainers.images import evaluate as evaluation
from trainers.images.train import ImageRun
from trainers.runs import experiment
from trainers.runs import workdir as workdirs

__all__ = ["EXPERIMENT"]


def prepare(
    config: config_dict.ConfigDict,
    strategy: tf.distribute.Strategy,
    data_dir: str | None,
) -> Callable[[], ImageRun]:
    """Checks a config whole and reads its images; the model is made later.

    Raises:
      InputError: if the config or the data cannot be used.
    """
    for check in (
        build.check_config,
        train.check_config,
        evaluation.check_config,
    ):
        check(config)
    data.check_config(config, strategy.num_replicas_in_sync)
    splits = data.load_splits(config, data_dir)
    return functools.partial(ImageRun, config, splits, strategy)


def draw(
    run: ImageRun, directory: str, results: Mapping[str, Any], workdir: str
) -> None:
    """Samples, reconstructions, latent traversals and the learning curve.

    Args:
      run: as it was evaluated.
      directory: where to write them.
      results: as `evaluate` returns them.
      workdir: of the run.
    """
    figures.save_all(
        directory,
        model=run.model,
        images=data.evaluation_images(run.splits, run.config, "test"),
        results=results,
        metrics=workdirs.MetricsLog(workdir).read(),
    )


def summary(results: Mapping[str, Any], directory: str) -> str:
    """One line for the person who waited.

    Args:
      results: as `evaluate` returns them.
      directory: where the pictures are.
    """

    def shown(name: str) -> str:
        error = results[f"{name}_standard_error"]
        return f"{name} {results[name]:.3f} +- {error:.3f}"

    iwae = f"iwae_{results['num_importance_samples']}"
    of_images = f" (of {results['num_iwae_images']:,} images)"
    return (
        f"{results['dataset']}, test, nats per image: "
        f"{shown(results['bound'])}, "
        f"{shown(iwae)}{of_images}; pictures in {directory}"
    )


EXPERIMENT = experiment.Experiment(prepare, evaluation.evaluate, draw, summary)
