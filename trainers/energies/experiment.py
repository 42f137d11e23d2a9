"""Fits to two-dimensional targets, from the config to a picture."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from trainers.energies import figures
from trainers.energies.evaluate import density_grid, evaluate
from trainers.energies.fit import EnergyRun, check_config
from trainers.runs import errors, experiment
from trainers.runs import workdir as workdirs

__all__ = ["EXPERIMENT"]


def prepare(
    config: config_dict.ConfigDict,
    strategy: tf.distribute.Strategy,
    data_dir: str | None,
) -> Callable[[], EnergyRun]:
    """Checks a config whole; the model is made later.

    Raises:
      InputError: if the config or the strategy cannot be used.
    """
    del data_dir
    if strategy.num_replicas_in_sync != 1:
        raise errors.InputError(
            f"`strategy` must have one replica for the experiment "
            f"{config.model.name}; got {strategy.num_replicas_in_sync}."
        )
    check_config(config)
    return functools.partial(EnergyRun, config, strategy)


def draw(
    run: EnergyRun, directory: str, results: Mapping[str, Any], workdir: str
) -> None:
    """Target, density behind the flow and learning curve, as one picture.

    Args:
      run: as it was evaluated.
      directory: where to write it.
      results: as `evaluate` returns them.
      workdir: of the run.
    """
    figures.save_fit(
        os.path.join(directory, "density.png"),
        densities=density_grid(run),
        results=results,
        metrics=workdirs.MetricsLog(workdir).read(),
    )


def summary(results: Mapping[str, Any], directory: str) -> str:
    """One line for the person who waited.

    Args:
      results: as `evaluate` returns them.
      directory: where the picture is.
    """
    return (
        f"{results['target']}, nats: free energy "
        f"{results['free_energy']:.4f}, KL {results['kl']:.4f} +- "
        f"{results['standard_error']:.4f}; picture in "
        f"{os.path.join(directory, 'density.png')}"
    )


EXPERIMENT = experiment.Experiment(prepare, evaluate, draw, summary)
