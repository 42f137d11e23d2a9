"""One training run in one directory, for the command line and for notebooks."""

import os
import sys
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from trainers.densities import experiment as densities
from trainers.energies import experiment as energies
from trainers.images import experiment as images
from trainers.runs import (
    devices,
    errors,
    loop,
    provenance,
    signals,
    workers,
)
from trainers.runs import workdir as workdirs
from trainers.runs.experiment import Experiment
from trainers.runs.training_run import TrainingRun

__all__ = ["train_and_evaluate"]

_MODES = ("train", "eval", "train_and_eval")


_EXPERIMENTS = {
    "energy": energies.EXPERIMENT,
    "mixture": energies.EXPERIMENT,
    "logistic_regression": energies.EXPERIMENT,
    "dlgm": images.EXPERIMENT,
    "density_2d": densities.EXPERIMENT,
    "uci_density": densities.EXPERIMENT,
    "made": densities.EXPERIMENT,
    "sbibm": densities.EXPERIMENT,
}


def train_and_evaluate(
    config: config_dict.ConfigDict,
    workdir: str,
    strategy: tf.distribute.Strategy | str | None = None,
    *,
    mode: str = "train_and_eval",
    data_dir: str | None = None,
    tpu: str = "local",
    experiment: Experiment | None = None,
) -> dict[str, Any] | None:
    """Runs `config` in `workdir`; an interrupted run goes on where it was.

    Args:
      config: a configuration from `configs/`.
      workdir: directory of the run: new, empty, or of the same config.
      strategy: where to run: a strategy, or the name of one of
        `trainers/runs/devices.py`; None for the current default. Fits to
        targets take strategies of one replica. Of several workers each calls
        this; the chief alone writes `workdir`, which all of them read.
      mode: "train", "eval" (of the best or newest weights) or
        "train_and_eval".
      data_dir: folder of TFDS data, for data sets that are not embedded; for
        tables of UCI, with uci or beside it.
      tpu: name or address of the TPU, for the strategy "tpu".
      experiment: what is done before and after the training. Default: None,
        that of `config.model.name`.

    Returns:
      What results.json holds; None for the mode "train".

    Raises:
      InputError: if the config, the data or the workdir cannot be used.
      NonFiniteError: if the training breaks down.
      StorageError: if a file cannot be written.
      WorkerLostError: if another worker stopped answering.
      Terminated: if SIGTERM stopped the run, which has saved its state.
      Interrupted: the same for Ctrl-C; a second one is a `KeyboardInterrupt`.
    """
    if mode not in _MODES:
        raise errors.InputError(
            f"`mode` must be one of {', '.join(_MODES)}; got {mode!r}."
        )
    if config.model.name not in _EXPERIMENTS:
        raise errors.InputError(
            f"`model.name` must be one of {', '.join(_EXPERIMENTS)}; "
            f"got {config.model.name!r}."
        )
    experiment = experiment or _EXPERIMENTS[config.model.name]
    if strategy is None:
        strategy = tf.distribute.get_strategy()
    elif isinstance(strategy, str):
        if not experiment.takes_replicas:
            _check_is_alone(config.model.name)
            if strategy == "auto":
                strategy = "default"  # all it can use
        strategy = devices.make(strategy, tpu).strategy
    with devices.watch(strategy), signals.Termination() as termination:
        make_run = experiment.prepare(config, strategy, data_dir)
        _prepare_workdir(workdir, config, devices.Devices(strategy))
        run = make_run()
        if mode != "eval":
            loop.train(run, workdir, termination)
        elif not run.restore(workdir):
            raise errors.InputError(
                "`workdir` must hold a checkpoint to evaluate; "
                f"got {workdir!r}."
            )
        run.devices.wait()  # until the last weights are written
        if mode == "train":
            return None
        results = experiment.evaluate(run, workdir)
        if run.devices.is_chief:
            _write_results(experiment, run, results, workdir)
        run.devices.wait()
        return results


def _check_is_alone(name: str) -> None:
    """Refuses several workers, each of which would write the workdir."""
    num_workers = workers.count_configured()
    if num_workers > 1:
        raise errors.InputError(
            f"TF_CONFIG must name one worker at most for the experiment {name}"
            f", whose steps are not shared; got {num_workers}."
        )


def _prepare_workdir(
    workdir: str, config: config_dict.ConfigDict, where: devices.Devices
) -> None:
    """Makes it, in the chief; sees in the others that it is the same one."""
    problem = None
    if where.is_chief:
        try:
            workdirs.prepare(workdir, config, provenance.describe_start())
        except errors.InputError as error:
            problem = error
    is_refused = where.any_worker(problem is not None)
    if problem is not None:
        raise problem
    if is_refused:
        raise errors.InputError(
            f"`workdir` must be one that the first worker accepts; got "
            f"{workdir!r}, of which it says why not."
        )
    found = workdirs.fingerprint(workdir)
    if where.any_worker(found != where.of_chief(found)):
        raise errors.InputError(
            "`workdir` must be one directory that all workers can read; got "
            f"{workdir!r}, which is not that of the first worker."
        )


def _write_results(
    experiment: Experiment,
    run: TrainingRun,
    results: dict[str, Any],
    workdir: str,
) -> None:
    directory = os.path.join(workdir, "figures")
    path = os.path.join(workdir, "results.json")
    with workdirs.writing(path):
        experiment.draw(run, directory, results, workdir)
        workdirs.write_json(path, results)
    sys.stdout.write(f"{experiment.summary(results, directory)}\n")
