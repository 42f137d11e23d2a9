"""Scalars for TensorBoard, in its file format and without its package."""

import os
import time
from collections.abc import Mapping

import tensorflow as tf

from trainers.runs import workdir as workdirs

__all__ = ["EventLog"]

# The parts of an event file, which TensorFlow has kept under this name.
_v1 = tf.compat.v1


class EventLog:
    """One event file for every start of a run.

    Its first event tells TensorBoard at which step the run goes on, so that
    what an interrupted start wrote behind that step is not shown.
    """

    def __init__(self, directory: str, first_step: int) -> None:
        """Opens a new file.

        Args:
          directory: made if it does not exist.
          first_step: the first step that can be written.
        """
        with workdirs.writing(directory):
            tf.io.gfile.makedirs(directory)
            # TensorBoard reads the files in the order of their names.
            name = f"events.out.tfevents.{time.time_ns():020d}"
            self._directory = directory
            self._writer = tf.io.TFRecordWriter(os.path.join(directory, name))
        self._write(_v1.Event(file_version="brain.Event:2"))
        start = _v1.SessionLog(status=_v1.SessionLog.START)
        self._write(_v1.Event(step=first_step, session_log=start))

    def _write(self, event: _v1.Event) -> None:
        event.wall_time = time.time()
        with workdirs.writing(self._directory):
            self._writer.write(event.SerializeToString())
            self._writer.flush()

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds scalars of one step."""
        values = [
            _v1.Summary.Value(tag=name, simple_value=value)
            for name, value in scalars.items()
        ]
        self._write(_v1.Event(step=step, summary=_v1.Summary(value=values)))

    def close(self) -> None:
        """Closes the file."""
        with workdirs.writing(self._directory):
            self._writer.close()
