"""Fits to targets of known normaliser, from the config to a picture."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from tfp_flows import targets
from trainers.energies import figures, planar
from trainers.energies.check import check_config
from trainers.energies.evaluate import evaluate
from trainers.energies.fit import EnergyRun, Target
from trainers.runs import errors, experiment
from trainers.runs import workdir as workdirs
from trainers.sources import logistic_regression

__all__ = ["EXPERIMENT", "checked_target"]


def checked_target(
    config: config_dict.ConfigDict, data_dir: str | None = None
) -> Target:
    """The target of a config, all of which is checked.

    Raises:
      InputError: if the config cannot be used.
    """
    target: Target
    if config.model.name == "logistic_regression":
        target = logistic_regression.load(config.data.target, data_dir)
    else:
        try:
            target = targets.get(config.data.target)
        except ValueError as error:
            raise errors.InputError(str(error)) from error
    check_config(config, target.event_shape[0])
    return target


def prepare(
    config: config_dict.ConfigDict,
    strategy: tf.distribute.Strategy,
    data_dir: str | None,
) -> Callable[[], EnergyRun]:
    """Checks a config whole; the model is made later.

    Raises:
      InputError: if the config or the strategy cannot be used.
    """
    if strategy.num_replicas_in_sync != 1:
        raise errors.InputError(
            f"`strategy` must have one replica for the experiment "
            f"{config.model.name}; got {strategy.num_replicas_in_sync}."
        )
    target = checked_target(config, data_dir)
    return functools.partial(EnergyRun, config, target, strategy)


def draw(
    run: EnergyRun, directory: str, results: Mapping[str, Any], workdir: str
) -> None:
    """One picture: the learning curve, in the plane beside the densities.

    Args:
      run: as it was evaluated.
      directory: where to write it.
      results: as `evaluate` returns them.
      workdir: of the run.
    """
    path = os.path.join(directory, _picture(results))
    metrics = workdirs.MetricsLog(workdir).read()
    if not planar.is_planar(run.model.target):
        figures.save_curve(path, results=results, metrics=metrics)
        return
    target, density = planar.density_grid(run)
    if density is None:
        density = planar.read_histogram(workdir)
    figures.save_fit(
        path, densities=(target, density), results=results, metrics=metrics
    )


def _picture(results: Mapping[str, Any]) -> str:
    return "density.png" if "half_width" in results else "learning_curve.png"


def summary(results: Mapping[str, Any], directory: str) -> str:
    """One line for the person who waited.

    Args:
      results: as `evaluate` returns them.
      directory: where the picture is.
    """
    name = figures.kl_name(results)
    return (
        f"{results['target']}, nats: free energy "
        f"{results['free_energy']:.4f}, {figures.WORDS[name]} "
        f"{results[name]:.4f} +- {results['standard_error']:.4f}; picture in "
        f"{os.path.join(directory, _picture(results))}"
    )


EXPERIMENT = experiment.Experiment(
    prepare, evaluate, draw, summary, takes_replicas=False
)
