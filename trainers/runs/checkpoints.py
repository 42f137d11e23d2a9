"""What an interrupted run needs, on disk: written whole, read with care."""

import os
import shutil
import tempfile
import zlib
from collections.abc import Sequence

import keras
import tensorflow as tf
from absl import logging

from trainers.runs import errors
from trainers.runs import workdir as workdirs

__all__ = ["BestWeights", "Checkpoints", "Progress"]


def _values(variables: Sequence[keras.Variable]) -> list[tf.Variable]:
    # tf.train does not look into Keras variables.
    return [variable.value for variable in variables]


def _unread(
    checkpoint: tf.train.Checkpoint, directory: str, worker: str
) -> tf.train.CheckpointManager:
    """Saves where nobody reads, for a worker that does not write.

    All workers have to save, as they add up some of what they save. What one
    that was killed left behind is removed.
    """
    key = zlib.crc32(f"{os.getuid()} {directory} {worker}".encode())
    place = os.path.join(tempfile.gettempdir(), f"tfp_flows_{key:08x}")
    shutil.rmtree(place, ignore_errors=True)
    return tf.train.CheckpointManager(checkpoint, place, max_to_keep=1)


class Progress(tf.train.Checkpoint):
    """What a run has achieved, apart from its weights.

    Attributes:
      best_elbo: the highest value of a validation, of the ELBO or of what else
        the run watches; -inf before the first.
      best_step: the step of that validation; 0 before the first.
      num_worse: validations since then.
    """

    def __init__(self) -> None:
        """Before the first step."""
        super().__init__(
            best_elbo=tf.Variable(float("-inf"), dtype=tf.float64),
            best_step=tf.Variable(0, dtype=tf.int64),
            num_worse=tf.Variable(0, dtype=tf.int64),
        )


def _why_unreadable(prefix: str) -> str | None:
    """Reads all of a checkpoint; returns why that cannot be done, or None."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception as error:  # the reader raises errors of all kinds
        return " ".join(str(getattr(error, "message", error)).split())
    return None


def _step(prefix: str) -> int:
    """The number in `.../ckpt-<step>`."""
    return int(prefix.rpartition("-")[2])


class Checkpoints:
    """The newest checkpoints of a run, in its folder `checkpoints`.

    They hold weights, optimizer (with the step, which is the position in the
    data and the key of all noise), running metrics and progress.

    Attributes:
      directory: that folder.
    """

    def __init__(
        self,
        model: keras.Model,
        progress: Progress,
        workdir: str,
        max_to_keep: int,
        *,
        reader: str = "",
    ) -> None:
        """Reads which checkpoints there are.

        Args:
          model: compiled and built, its optimizer too.
          progress: saved and restored with it.
          workdir: directory of the run.
          max_to_keep: how many; older ones of this run are removed.
          reader: name of a worker that reads what another one writes; empty
            for the one that writes.
        """
        self._checkpoint = tf.train.Checkpoint(
            variables=_values(model.variables),
            metrics=_values(model.metrics_variables),
            optimizer=_values(model.optimizer.variables),
            progress=progress,
        )
        self.directory = os.path.join(workdir, "checkpoints")
        self._max_to_keep = max_to_keep
        self._is_writer = not reader
        self._manager = self._make_manager()
        self._saver = (
            self._manager
            if self._is_writer
            else _unread(self._checkpoint, self.directory, reader)
        )
        newest = self._manager.latest_checkpoint
        self._newest_step = None if newest is None else _step(newest)

    def _make_manager(self) -> tf.train.CheckpointManager:
        return tf.train.CheckpointManager(
            self._checkpoint, self.directory, max_to_keep=self._max_to_keep
        )

    @property
    def newest_step(self) -> int | None:
        """Step of the newest checkpoint; None if there is none."""
        return self._newest_step

    def restore(self) -> bool:
        """Restores the newest checkpoint that can be read.

        Returns:
          Whether there was one.

        Raises:
          InputError: if there are some, and none can be read, or the newest
            that can be is of another model.
        """
        readable = list(self._manager.checkpoints)
        reason = None
        while readable:
            reason = _why_unreadable(readable[-1])
            if reason is None:
                break
            logging.warning(
                "Checkpoint %s cannot be read (%s); trying the one before.",
                readable.pop(),
                reason,
            )
        if not readable:
            if reason is None:
                return False
            raise errors.InputError(
                "`workdir` must hold a checkpoint that can be read; none in "
                f"{self.directory!r} can ({reason})."
            )
        try:
            self._checkpoint.restore(readable[-1]).assert_consumed()
        except (AssertionError, ValueError) as error:
            raise errors.InputError(
                "`workdir` must hold checkpoints of this model, made by this "
                f"version; got {readable[-1]!r} of another."
            ) from error
        self._newest_step = _step(readable[-1])
        if self._is_writer and readable[-1] != self._manager.latest_checkpoint:
            self._forget_all_but(readable)
        return True

    def _forget_all_but(self, readable: Sequence[str]) -> None:
        """Lets the manager not count broken ones among the newest."""
        state = tf.train.get_checkpoint_state(self.directory)
        timestamps = dict(
            zip(
                state.all_model_checkpoint_paths,
                state.all_model_checkpoint_timestamps,
                strict=True,
            )
        )
        names = [os.path.basename(prefix) for prefix in readable]
        state.model_checkpoint_path = names[-1]
        state.all_model_checkpoint_paths[:] = names
        state.all_model_checkpoint_timestamps[:] = [
            timestamps[prefix] for prefix in readable
        ]
        path = os.path.join(self.directory, "checkpoint")
        with workdirs.writing(path):
            with tf.io.gfile.GFile(path + ".partial", "w") as file:
                file.write(str(state))
            tf.io.gfile.rename(path + ".partial", path, overwrite=True)
        self._manager = self._saver = self._make_manager()

    def save(self, step: int) -> None:
        """Saves the state after `step` steps, unless that is done.

        Raises:
          StorageError: if the disk is full; the checkpoints before stay.
        """
        if self.newest_step == step:
            return
        try:
            with workdirs.writing(self.directory):
                self._saver.save(step)
        except errors.StorageError as error:
            newest = self.newest_step
            kept = "there is none" if newest is None else f"step {newest}"
            raise errors.StorageError(
                f"{error} Last complete checkpoint: {kept}."
            ) from error.__cause__
        self._newest_step = step


class BestWeights:
    """The weights with the best validation, in the folder `best`.

    A checkpoint that names its step is only written after them, so they are
    complete whenever a run goes on from there.
    """

    def __init__(
        self, model: keras.Model, workdir: str, *, reader: str = ""
    ) -> None:
        """Remembers where they are.

        Args:
          model: built.
          workdir: directory of the run.
          reader: as of `Checkpoints`.
        """
        self._checkpoint = tf.train.Checkpoint(weights=_values(model.weights))
        self._directory = os.path.join(workdir, "best")
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, self._directory, max_to_keep=1
        )
        if reader:
            self._manager = _unread(self._checkpoint, self._directory, reader)

    def save(self, step: int) -> None:
        """Saves the weights after `step` steps; removes those before.

        Raises:
          StorageError: if the disk is full; the weights before stay.
        """
        with workdirs.writing(self._directory):
            self._manager.save(step)

    def restore(self) -> int:
        """Restores them and returns their step.

        Raises:
          InputError: if they cannot be read.
        """
        prefix = tf.train.latest_checkpoint(self._directory)
        reason = "no checkpoint" if prefix is None else _why_unreadable(prefix)
        if reason is not None:
            raise errors.InputError(
                "`workdir` must hold the best weights in readable form; "
                f"{self._directory!r} does not ({reason})."
            )
        self._checkpoint.restore(prefix).assert_consumed()
        return _step(prefix)
