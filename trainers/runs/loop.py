"""Trains a model; killed at any moment, it goes on as if it were not.

Everything in a step is a function of the weights, the optimizer and the step's
number, so these and the running metrics are all that a checkpoint holds.
"""

import math
import os
import time
from collections.abc import Mapping
from typing import Any

from absl import logging
from ml_collections import config_dict

from trainers.runs import errors, event_log, progress, signals, train_steps
from trainers.runs import workdir as workdirs
from trainers.runs.training_run import TrainingRun

__all__ = ["check_config", "train"]

_POSITIVE = (
    "num_steps",
    "steps_per_execution",
    "log_steps",
    "checkpoint_steps",
    "checkpoints_to_keep",
)


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses settings of the loop that cannot be run.

    Args:
      config: with the group `training`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    for name in _POSITIVE:
        value = config.training[name]
        if value < 1:
            raise errors.InputError(
                f"`training.{name}` must be at least 1; got {value}."
            )


class _Loop:
    """One start of the training of a run."""

    def __init__(self, run: TrainingRun, workdir: str) -> None:
        """Restores what the starts before have left."""
        self._run = run
        self._settings = run.config.training
        with run.strategy.scope():
            self._checkpoints = run.open_checkpoints(workdir)
            self._checkpoints.restore()
            run.devices.check_same_step(run.step, workdir)
            self._best = run.open_best_weights(workdir)
        self._is_writer = run.devices.is_chief
        self._metrics_log = workdirs.MetricsLog(workdir)
        if self._is_writer:
            self._metrics_log.rewind(run.step)
        self._workdir = workdir
        self._seconds = 0.0  # and steps, since the last line of the log
        self._num_steps = 0

    def run(self, termination: signals.Termination) -> None:
        """Trains until the end, early stopping, SIGTERM or Ctrl-C."""
        run, settings = self._run, self._settings
        first = step = run.step
        batches = run.batches(first)
        self._train_steps = run.compiled_steps(
            takes_batches=batches is not None
        )
        self._open_event_logs(first + 1)
        try:
            with progress.StepBar(
                run.last_step, first, jit_compile=run.model.jit_compile
            ) as bar:
                is_done = run.is_finished
                while not is_done:
                    count = self._next_stop(step) - step
                    start = time.perf_counter()
                    self._train_steps(batches, count)
                    step += count
                    bar.update(count)
                    self._num_steps += count
                    is_last = step >= run.last_step
                    if is_last or step % settings.log_steps == 0:
                        self._train_steps.check()  # waits for the device
                        self._seconds += time.perf_counter() - start
                        line = self._log(step, is_last)
                        bar.set_postfix({run.watched: self._shown(line)})
                    else:
                        self._seconds += time.perf_counter() - start
                    is_done = is_last or run.stopped_early
                    is_due = step % settings.checkpoint_steps == 0 or is_done
                    is_stopped = self._is_stopped(
                        termination, is_due or step % settings.log_steps == 0
                    )
                    if is_due or is_stopped:
                        self._save(step)
                    if is_stopped:
                        termination.request()  # if another worker's signal
                        run.devices.wait()  # until it is saved
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

    def _is_stopped(
        self, termination: signals.Termination, is_due: bool
    ) -> bool:
        """Whether a signal has come, to any of the workers."""
        if self._run.devices.num_workers == 1:
            return termination.requested is not None
        # They ask each other where they wait for their devices anyhow.
        return is_due and self._run.devices.any_worker(
            termination.requested is not None
        )

    def _open_event_logs(self, first_step: int) -> None:
        names = ["train", "validation"][
            : 2 if self._run.validation_steps else 1
        ]
        self._event_logs = {
            name: event_log.EventLog(
                os.path.join(self._workdir, "tensorboard", name), first_step
            )
            for name in (names if self._is_writer else [])
        }

    def _next_stop(self, step: int) -> int:
        """The last step of the next call: nothing is due before it."""
        settings = self._settings
        stops = [step + settings.steps_per_execution, self._run.last_step]
        for every in (settings.log_steps, settings.checkpoint_steps):
            stops.append((step // every + 1) * every)
        return min(stops)

    def _shown(self, means: Mapping[str, float]) -> str:
        return f"{means[self._run.watched]:.{self._run.num_digits}f}"

    def _save(self, step: int) -> None:
        self._train_steps.check()
        train_steps.check_finite(self._run.model)
        self._checkpoints.save(step)

    def _log(self, step: int, is_last: bool) -> dict[str, Any]:
        """Writes the means since the last line, and begins new ones."""
        run, model = self._run, self._run.model
        training = {
            **{m.name: float(m.result()) for m in train_steps.means(model)},
            "learning_rate": float(model.optimizer.learning_rate),
            **run.schedules(step),
            "seconds_per_step": self._seconds / self._num_steps,
        }
        self._seconds, self._num_steps = 0.0, 0
        every = run.validation_steps
        validation = {}
        if every and (is_last or step % every == 0):
            validation = self._validate(step)
        elif is_last or step % self._settings.checkpoint_steps == 0:
            logging.info(
                "Step %d: %s %s.", step, run.watched, self._shown(training)
            )
        model.reset_metrics()
        line = {
            "step": step,
            **training,
            **{f"val_{name}": value for name, value in validation.items()},
        }
        if self._is_writer:
            self._metrics_log.append(line)
            self._event_logs["train"].write(step, training)
            if validation:
                self._event_logs["validation"].write(step, validation)
        return line

    def _validate(self, step: int) -> dict[str, float]:
        """Evaluates; keeps the weights if they are the best so far."""
        run, achieved = self._run, self._run.progress
        validation = run.validate()
        if not all(math.isfinite(v) for v in validation.values()):
            train_steps.check_finite(run.model)
            name = next(
                n for n, v in validation.items() if not math.isfinite(v)
            )
            raise errors.NonFiniteError(
                f"`val_{name}` must stay finite; got {validation[name]} at "
                f"step {step}. The run was stopped; its last checkpoint is "
                "from before that step."
            )
        is_better = validation[run.watched] > float(achieved.best_elbo)
        # Rounding may differ on other devices, but not what is done about it.
        if run.devices.of_chief(int(is_better)):
            with run.strategy.scope():
                self._best.save(step)
            achieved.best_elbo.assign(validation[run.watched])
            achieved.best_step.assign(step)
            achieved.num_worse.assign(0)
        else:
            achieved.num_worse.assign_add(1)
        logging.info(
            "Step %d: validation %s %s.",
            step,
            run.watched,
            self._shown(validation),
        )
        return validation


def train(
    run: TrainingRun, workdir: str, termination: signals.Termination
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
    logging.info(
        "%s, %s parameters; step %s of %s.",
        run.description,
        f"{run.num_parameters:,}",
        f"{run.step:,}",
        f"{run.last_step:,}",
    )
    with termination.put_off():
        loop.run(termination)
