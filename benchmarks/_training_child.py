"""The measuring process of `training`: one model, the trainer and its step."""

import contextlib
import importlib
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from ml_collections import config_dict

from benchmarks._long_flow_child import versions
from trainers import run
from trainers.images import data
from trainers.images import train as train_images

__all__ = ["BareStep", "main", "measure", "trainer_times"]


class BareStep:
    """`model.train_step` under XLA on one batch, without anything else."""

    def __init__(
        self, config: config_dict.ConfigDict, data_dir: str | None
    ) -> None:
        """Makes model, optimizer and batch as the trainer does."""
        splits = data.load_splits(config, data_dir)
        training = train_images.ImageRun(
            config, splits, tf.distribute.get_strategy()
        )
        self._model = training.model
        self._batch = next(iter(data.training_dataset(splits, config)))
        self._steps_per_execution = config.training.steps_per_execution
        self._variables = [
            v.value
            for v in (
                *self._model.variables,
                *self._model.optimizer.variables,
                *self._model.metrics_variables,
            )
        ]
        self._start = [tf.identity(v) for v in self._variables]
        self._step = tf.function(
            self._model.train_step, jit_compile=True, autograph=False
        )
        self._steps = tf.function(self._loop, autograph=False)

    def _loop(self, batch: tf.Tensor) -> None:
        def body(i: tf.Tensor) -> tf.Tensor:
            self._step(batch)
            return i + 1

        tf.while_loop(
            lambda i: i < self._steps_per_execution, body, [tf.constant(0)]
        )

    def _restart(self) -> None:
        # Weights that have learnt the batch by heart might compute faster or
        # slower than a trainer's.
        for variable, value in zip(self._variables, self._start, strict=True):
            variable.assign(value)

    def _wait(self) -> None:
        for variable in self._variables:
            variable.numpy()

    def loop(self, num_steps: int) -> float:
        """Seconds of steps taken by a loop within one compiled call."""
        calls = num_steps // self._steps_per_execution
        return self._seconds(lambda: self._steps(self._batch), calls)

    def calls(self, num_steps: int) -> float:
        """Seconds of steps that Python calls one by one."""
        return self._seconds(lambda: self._step(self._batch), num_steps)

    def _seconds(self, call: Callable[[], Any], count: int) -> float:
        self._restart()
        call()  # compiles, the first time
        self._wait()
        start = time.perf_counter()
        for _ in range(count):
            call()
        self._wait()
        return time.perf_counter() - start


class _Screen(io.StringIO):
    """A terminal, to the progress bar."""

    def isatty(self) -> bool:
        return True


def trainer_times(
    config: config_dict.ConfigDict, data_dir: str | None, window_steps: int
) -> tuple[float, float]:
    """Seconds of the first window of a fresh run, and of the second.

    The trainer compiles in the first. Both end with a validation; the second
    begins with the checkpoint of the step before it.
    """
    config = config.copy_and_resolve_references()
    config.training.stop_after_steps = 2 * window_steps
    with tempfile.TemporaryDirectory() as workdir:
        start = time.time()  # the clock of the event files
        with contextlib.redirect_stderr(_Screen()):
            run.train_and_evaluate(
                config, workdir, mode="train", data_dir=data_dir
            )
        times = _log_times(workdir)
    return (
        times[window_steps] - start,
        times[2 * window_steps] - times[window_steps],
    )


def _log_times(workdir: str) -> dict[int, float]:
    """The time at which each step's line of the log was written."""
    times = {}
    for path in Path(workdir, "tensorboard", "train").iterdir():
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            if event.HasField("summary"):
                times[event.step] = event.wall_time
    return times


def measure(
    config: str, variant: str, num_rounds: int, data_dir: str | None
) -> dict[str, Any]:
    """Seconds of every way for the steps of one window, round by round."""
    resolved = importlib.import_module(f"configs.{config}").get_config(variant)
    settings = resolved.training
    window_steps = settings.validation_steps
    if (
        not settings.jit_compile
        or window_steps % settings.steps_per_execution
        or settings.num_steps < 2 * window_steps
    ):
        raise ValueError(
            "`config.training` must have XLA on, and at least two windows of "
            f"whole executions; got {settings}."
        )
    bare = BareStep(resolved, data_dir)
    seconds: dict[str, list[float]] = {"trainer": [], "loop": [], "calls": []}
    first_windows = []
    generator = random.Random(0)
    for _ in range(num_rounds):
        for way in generator.sample(sorted(seconds), len(seconds)):
            if way == "trainer":
                first, second = trainer_times(resolved, data_dir, window_steps)
                first_windows.append(first)
                seconds[way].append(second)
            else:
                seconds[way].append(getattr(bare, way)(window_steps))
    return {
        "window_steps": window_steps,
        "steps_per_execution": settings.steps_per_execution,
        "batch_size": settings.batch_size,
        "seconds": seconds,
        "first_window_seconds": first_windows,
        "versions": {**versions(), "keras": keras.__version__},
    }


def main(task_file: str, result_file: str) -> None:
    """Reads a task, measures and writes the values."""
    task = json.loads(Path(task_file).read_text())
    Path(result_file).write_text(json.dumps(measure(**task)))


if __name__ == "__main__":
    main(*sys.argv[1:])
