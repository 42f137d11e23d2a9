"""One training run in one directory, for the command line and for notebooks."""

import os
from typing import Any

import tensorflow as tf
from absl import logging
from ml_collections import config_dict

from trainers import (
    errors,
    evaluate_target,
    figures,
    fit_target,
    provenance,
)
from trainers import workdir as workdirs

__all__ = ["train_and_evaluate"]

_EXPERIMENTS = ("energy",)
_MODES = ("train", "eval", "train_and_eval")


def _check(
    config: config_dict.ConfigDict, strategy: tf.distribute.Strategy, mode: str
) -> None:
    if mode not in _MODES:
        raise errors.InputError(
            f"`mode` must be one of {', '.join(_MODES)}; got {mode!r}."
        )
    if config.model.name not in _EXPERIMENTS:
        raise errors.InputError(
            f"`model.name` must be one of {', '.join(_EXPERIMENTS)}; "
            f"got {config.model.name!r}."
        )
    if strategy.num_replicas_in_sync != 1:
        raise errors.InputError(
            f"`strategy` must have one replica for the experiment "
            f"{config.model.name}; got {strategy.num_replicas_in_sync}."
        )
    fit_target.check_config(config)


def train_and_evaluate(
    config: config_dict.ConfigDict,
    workdir: str,
    strategy: tf.distribute.Strategy | None = None,
    *,
    mode: str = "train_and_eval",
) -> dict[str, Any] | None:
    """Runs `config` in `workdir`; an interrupted run goes on where it was.

    Args:
      config: a configuration from `configs/`.
      workdir: directory of the run: new, empty, or of the same config.
      strategy: where to run; None for the current default. The experiments
        with two-dimensional targets take strategies of one replica.
      mode: "train", "eval" (of the newest checkpoint) or "train_and_eval".

    Returns:
      What results.json holds; None for the mode "train".

    Raises:
      InputError: if the config or the workdir cannot be used.
      NonFiniteError: if the training breaks down.
    """
    if strategy is None:
        strategy = tf.distribute.get_strategy()
    _check(config, strategy, mode)
    workdirs.prepare(workdir, config, provenance.describe_start())
    with strategy.scope():
        return _run(config, workdir, mode)


def _run(
    config: config_dict.ConfigDict, workdir: str, mode: str
) -> dict[str, Any] | None:
    fit = fit_target.TargetFit(config)
    if mode == "eval":
        checkpoints = fit_target.checkpoint_manager(fit, workdir)
        if checkpoints.restore_or_initialize() is None:
            raise errors.InputError(
                f"`workdir` must hold a checkpoint to evaluate; "
                f"got {workdir!r}."
            )
    else:
        fit_target.train(fit, workdir)
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
    logging.info(
        "%s: free energy %.4f, KL %.4f +- %.4f nats; figure in %s.",
        results["target"],
        results["free_energy"],
        results["kl"],
        results["standard_error"],
        figure,
    )
    return results
