"""One training run in one directory, for the command line and for notebooks."""

import os
import sys
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from trainers.energies import evaluate as evaluate_target
from trainers.energies import figures
from trainers.energies import fit as fit_target
from trainers.images import build, data
from trainers.images import evaluate as evaluate_images
from trainers.images import figures as image_figures
from trainers.images import train as train_images
from trainers.runs import errors, provenance, signals
from trainers.runs import strategy as strategies
from trainers.runs import workdir as workdirs

__all__ = ["train_and_evaluate"]

_MODES = ("train", "eval", "train_and_eval")


def train_and_evaluate(
    config: config_dict.ConfigDict,
    workdir: str,
    strategy: tf.distribute.Strategy | str | None = None,
    *,
    mode: str = "train_and_eval",
    data_dir: str | None = None,
) -> dict[str, Any] | None:
    """Runs `config` in `workdir`; an interrupted run goes on where it was.

    Args:
      config: a configuration from `configs/`.
      workdir: directory of the run: new, empty, or of the same config.
      strategy: where to run: a strategy, or the name of one of
        `trainers/runs/strategy.py`; None for the current default. The
        experiments with two-dimensional targets take strategies of one replica.
      mode: "train", "eval" (of the best or newest weights) or
        "train_and_eval".
      data_dir: folder of TFDS data, for data sets that are not embedded.

    Returns:
      What results.json holds; None for the mode "train".

    Raises:
      InputError: if the config, the data or the workdir cannot be used.
      NonFiniteError: if the training breaks down.
      StorageError: if a file cannot be written.
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
    if strategy is None:
        strategy = tf.distribute.get_strategy()
    elif isinstance(strategy, str):
        if config.model.name == "energy" and strategy == "auto":
            strategy = "default"  # all it can use
        strategy = strategies.make(strategy)
    return _EXPERIMENTS[config.model.name](
        config, workdir, strategy, mode, data_dir
    )


def _run_energy(
    config: config_dict.ConfigDict,
    workdir: str,
    strategy: tf.distribute.Strategy,
    mode: str,
    data_dir: str | None,
) -> dict[str, Any] | None:
    del data_dir
    if strategy.num_replicas_in_sync != 1:
        raise errors.InputError(
            f"`strategy` must have one replica for the experiment "
            f"{config.model.name}; got {strategy.num_replicas_in_sync}."
        )
    fit_target.check_config(config)
    workdirs.prepare(workdir, config, provenance.describe_start())
    with strategy.scope(), signals.Termination() as termination:
        return _fit_target(config, workdir, mode, termination)


def _fit_target(
    config: config_dict.ConfigDict,
    workdir: str,
    mode: str,
    termination: signals.Termination,
) -> dict[str, Any] | None:
    fit = fit_target.TargetFit(config)
    if mode == "eval":
        checkpoints = fit_target.checkpoint_manager(fit, workdir)
        if checkpoints.restore_or_initialize() is None:
            raise _no_checkpoint(workdir)
    else:
        fit_target.train(fit, workdir, termination)
    if mode == "train":
        return None
    results = evaluate_target.evaluate(fit, workdir)
    workdirs.write_json(os.path.join(workdir, "results.json"), results)
    figure = os.path.join(workdir, "figures", "density.png")
    figures.save_fit(
        figure,
        densities=evaluate_target.density_grid(fit),
        results=results,
        metrics=workdirs.MetricsLog(workdir).read(),
    )
    sys.stdout.write(
        f"{results['target']}, nats: free energy "
        f"{results['free_energy']:.4f}, KL {results['kl']:.4f} +- "
        f"{results['standard_error']:.4f}; picture in {figure}\n"
    )
    return results


def _no_checkpoint(workdir: str) -> errors.InputError:
    return errors.InputError(
        f"`workdir` must hold a checkpoint to evaluate; got {workdir!r}."
    )


def _run_dlgm(
    config: config_dict.ConfigDict,
    workdir: str,
    strategy: tf.distribute.Strategy,
    mode: str,
    data_dir: str | None,
) -> dict[str, Any] | None:
    for check in (
        build.check_config,
        train_images.check_config,
        evaluate_images.check_config,
    ):
        check(config)
    data.check_config(config, strategy.num_replicas_in_sync)
    splits = data.load_splits(config, data_dir)
    workdirs.prepare(workdir, config, provenance.describe_start())
    with signals.Termination() as termination:
        run = train_images.ImageRun(config, splits, strategy)
        if mode != "eval":
            train_images.train(run, workdir, termination)
        elif not run.restore(workdir):
            raise _no_checkpoint(workdir)
        return None if mode == "train" else _evaluate_images(run, workdir)


def _evaluate_images(
    run: train_images.ImageRun, workdir: str
) -> dict[str, Any]:
    results = evaluate_images.evaluate(run, workdir)
    directory = os.path.join(workdir, "figures")
    path = os.path.join(workdir, "results.json")
    with workdirs.writing(path):
        image_figures.save_all(
            directory,
            model=run.model,
            images=data.evaluation_images(run.splits, run.config, "test"),
            results=results,
            metrics=workdirs.MetricsLog(workdir).read(),
        )
        workdirs.write_json(path, results)
    summary = evaluate_images.summary(results, directory)
    sys.stdout.write(f"{summary}\n")
    return results


_EXPERIMENTS: dict[str, Callable[..., dict[str, Any] | None]] = {
    "energy": _run_energy,
    "dlgm": _run_dlgm,
}
