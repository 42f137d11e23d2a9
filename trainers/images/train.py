"""Trains a DLGM on images; killed at any moment, it goes on as if it were not.

Everything in a step is a function of the weights, the optimizer and the step's
number, so these and the running metrics are all that a checkpoint holds.
"""

import math
import os
import time
from typing import Any

import tensorflow as tf
from absl import logging
from ml_collections import config_dict

from tfp_flows import models
from trainers import flows
from trainers.images import build, data, sources
from trainers.runs import (
    checkpoints,
    errors,
    event_log,
    progress,
    signals,
    train_steps,
)
from trainers.runs import workdir as workdirs

__all__ = ["ImageRun", "check_config", "train"]

_POSITIVE = (
    "training.num_steps",
    "training.steps_per_execution",
    "training.log_steps",
    "training.checkpoint_steps",
    "training.checkpoints_to_keep",
)
_NOT_NEGATIVE = (
    "training.stop_after_steps",
    "training.validation_steps",
    "training.early_stopping_patience",
)


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses settings of the loop that cannot be run.

    Args:
      config: as made by `configs/image_defaults.py`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    for keys, lowest in ((_POSITIVE, 1), (_NOT_NEGATIVE, 0)):
        for key in keys:
            group, name = key.split(".")
            value = config[group][name]
            if value < lowest:
                raise errors.InputError(
                    f"`{key}` must be at least {lowest}; got {value}."
                )
    settings = config.training
    if settings.validation_steps % settings.log_steps:
        raise errors.InputError(
            "`training.validation_steps` must be a multiple of "
            f"`training.log_steps`, {settings.log_steps}; "
            f"got {settings.validation_steps}."
        )
    if settings.early_stopping_patience and not settings.validation_steps:
        raise errors.InputError(
            "`training.early_stopping_patience` must be 0 without validation; "
            f"got {settings.early_stopping_patience}."
        )


class ImageRun:
    """Images, model, optimizer and progress of one run."""

    def __init__(
        self,
        config: config_dict.ConfigDict,
        splits: sources.ImageSplits,
        strategy: tf.distribute.Strategy,
    ) -> None:
        """Makes everything as at the first step.

        Args:
          config: as made by `configs/image_defaults.py`, checked.
          splits: the images that it names.
          strategy: where to compute.
        """
        self.config = config
        self.splits = splits
        self.strategy = strategy
        with strategy.scope():
            jit_compile = config.training.jit_compile
            if jit_compile and tf.distribute.has_strategy():
                logging.info("XLA is off: it cannot compile for replicas.")
                jit_compile = False
            self.model: models.DLGM = build.build_model(config)
            self.model.compile(
                build.build_optimizer(config), jit_compile=jit_compile
            )
            self.model.optimizer.build(self.model.trainable_variables)
        self.progress = checkpoints.Progress()
        self.validation_images = data.evaluation_images(
            splits, config, "validation"
        )

    @property
    def step(self) -> int:
        """Number of updates so far."""
        return int(tf.convert_to_tensor(self.model.optimizer.iterations))

    @property
    def last_step(self) -> int:
        """Where training ends, at the latest."""
        settings = self.config.training
        return min(
            settings.num_steps, settings.stop_after_steps or settings.num_steps
        )

    @property
    def validates(self) -> bool:
        """Whether there is a validation, and with it best weights."""
        return bool(
            self.config.training.validation_steps
            and len(self.validation_images)
        )

    @property
    def stopped_early(self) -> bool:
        """Whether the validations since the best one were too many."""
        patience = self.config.training.early_stopping_patience
        return bool(patience) and int(self.progress.num_worse) >= patience

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.step >= self.last_step or self.stopped_early

    @property
    def num_parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(math.prod(v.shape) for v in self.model.trainable_variables)

    def open_checkpoints(self, workdir: str) -> checkpoints.Checkpoints:
        """The checkpoints of this run."""
        return checkpoints.Checkpoints(
            self.model,
            self.progress,
            workdir,
            self.config.training.checkpoints_to_keep,
        )

    def open_best_weights(self, workdir: str) -> checkpoints.BestWeights:
        """The best weights of this run."""
        return checkpoints.BestWeights(self.model, workdir)

    def restore(self, workdir: str) -> bool:
        """Restores the newest checkpoint; returns whether there was one.

        Raises:
          InputError: see `Checkpoints.restore`.
        """
        with self.strategy.scope():
            return self.open_checkpoints(workdir).restore()


class _Loop:
    """One start of the training of a run."""

    def __init__(self, run: ImageRun, workdir: str) -> None:
        """Restores what the starts before have left."""
        self._run = run
        self._settings = run.config.training
        with run.strategy.scope():
            self._checkpoints = run.open_checkpoints(workdir)
            self._checkpoints.restore()
            self._best = run.open_best_weights(workdir)
        self._metrics_log = workdirs.MetricsLog(workdir)
        self._metrics_log.rewind(run.step)
        self._workdir = workdir
        self._train_steps = train_steps.TrainSteps(run.model)
        self._seconds = 0.0  # and steps, since the last line of the log
        self._num_steps = 0

    def run(self, termination: signals.Termination) -> None:
        """Trains until the end, early stopping, SIGTERM or Ctrl-C."""
        run, settings = self._run, self._settings
        first = step = run.step
        dataset = data.training_dataset(run.splits, run.config, first)
        iterator = iter(run.strategy.experimental_distribute_dataset(dataset))
        self._open_event_logs(first + 1)
        try:
            with progress.StepBar(
                run.last_step, first, jit_compile=run.model.jit_compile
            ) as bar:
                is_done = run.is_finished
                while not is_done:
                    count = self._next_stop(step) - step
                    start = time.perf_counter()
                    self._train_steps(iterator, count)
                    step += count
                    bar.update(count)
                    self._num_steps += count
                    is_last = step >= run.last_step
                    if is_last or step % settings.log_steps == 0:
                        self._train_steps.check()  # waits for the device
                        self._seconds += time.perf_counter() - start
                        line = self._log(step, is_last)
                        bar.set_postfix(elbo=f"{line['elbo']:.2f}")
                    else:
                        self._seconds += time.perf_counter() - start
                    is_done = is_last or run.stopped_early
                    is_stopped = termination.requested is not None
                    if (
                        step % settings.checkpoint_steps == 0
                        or is_done
                        or is_stopped
                    ):
                        self._save(step)
                    if is_stopped:
                        termination.stop(step, self._checkpoints.directory)
        finally:
            for log in self._event_logs.values():
                log.close()
            logging.info(
                "This process executed %d steps: from step %d to step %d of "
                "%d.",
                step - first,
                first,
                step,
                run.last_step,
            )

    def _open_event_logs(self, first_step: int) -> None:
        names = ["train", *(["validation"] if self._run.validates else [])]
        self._event_logs = {
            name: event_log.EventLog(
                os.path.join(self._workdir, "tensorboard", name), first_step
            )
            for name in names
        }

    def _next_stop(self, step: int) -> int:
        """The last step of the next call: nothing is due before it."""
        settings = self._settings
        stops = [step + settings.steps_per_execution, self._run.last_step]
        for every in (settings.log_steps, settings.checkpoint_steps):
            stops.append((step // every + 1) * every)
        return min(stops)

    def _save(self, step: int) -> None:
        self._train_steps.check()
        train_steps.check_finite(self._run.model)
        self._checkpoints.save(step)

    def _log(self, step: int, is_last: bool) -> dict[str, Any]:
        """Writes the means since the last line, and begins new ones."""
        model = self._run.model
        training = {
            **_results(model),
            "learning_rate": float(model.optimizer.learning_rate),
            "annealing": float(model.annealing.beta(step)),
            "seconds_per_step": self._seconds / self._num_steps,
        }
        self._seconds, self._num_steps = 0.0, 0
        every = self._settings.validation_steps
        validation = {}
        if self._run.validates and (is_last or step % every == 0):
            validation = self._validate(step)
        model.reset_metrics()
        line = {
            "step": step,
            **training,
            **{f"val_{name}": value for name, value in validation.items()},
        }
        self._metrics_log.append(line)
        self._event_logs["train"].write(step, training)
        if validation:
            self._event_logs["validation"].write(step, validation)
        return line

    def _validate(self, step: int) -> dict[str, float]:
        """Evaluates; keeps the weights if they are the best so far."""
        achieved = self._run.progress
        validation = self._run.model.evaluate(
            self._run.validation_images,
            batch_size=self._run.config.evaluation.batch_size,
            verbose=0,
            return_dict=True,
        )
        validation = {name: float(v) for name, v in validation.items()}
        if not all(math.isfinite(v) for v in validation.values()):
            train_steps.check_finite(self._run.model)
            name = next(
                n for n, v in validation.items() if not math.isfinite(v)
            )
            raise errors.NonFiniteError(
                f"`val_{name}` must stay finite; got {validation[name]} at "
                f"step {step}. The run was stopped; its last checkpoint is "
                "from before that step."
            )
        if validation["elbo"] > float(achieved.best_elbo):
            with self._run.strategy.scope():
                self._best.save(step)
            achieved.best_elbo.assign(validation["elbo"])
            achieved.best_step.assign(step)
            achieved.num_worse.assign(0)
        else:
            achieved.num_worse.assign_add(1)
        logging.info("Step %d: validation ELBO %.2f.", step, validation["elbo"])
        return validation


def _results(model: models.DLGM) -> dict[str, float]:
    """The running metrics, by name."""
    return {
        metric.name: float(metric.result())
        for metric in train_steps.means(model)
    }


def train(
    run: ImageRun, workdir: str, termination: signals.Termination
) -> None:
    """Trains to the end, from the newest checkpoint on if there is one.

    Args:
      run: the state; changed in place.
      workdir: a directory that `workdir.prepare` has accepted.
      termination: whether to stop; it is put off during the steps.

    Raises:
      NonFiniteError: a loss or a weight became infinite or NaN. What was saved
        before stays.
      StorageError: a file could not be written.
      Terminated: SIGTERM came; a checkpoint of that step is saved.
      Interrupted: the same for Ctrl-C.
    """
    loop = _Loop(run, workdir)
    posterior, prior = run.config.posterior, run.config.prior
    logging.info(
        "%s: posterior with %s, prior with %s, %s parameters; step %s of %s.",
        run.config.data.dataset,
        flows.in_words(posterior.flow, posterior.num_flow_steps),
        flows.in_words(prior.flow, prior.num_flow_steps),
        f"{run.num_parameters:,}",
        f"{run.step:,}",
        f"{run.last_step:,}",
    )
    with termination.put_off():
        loop.run(termination)
