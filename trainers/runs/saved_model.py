"""The model that a run gives: the evaluated weights, as Keras saves a model."""

import os
import tempfile

import tensorflow as tf

from trainers.runs import workdir as workdirs
from trainers.runs.training_run import TrainingRun

__all__ = ["save_model"]


def save_model(run: TrainingRun, workdir: str) -> None:
    """Writes best/model.keras, whole or not at all.

    All workers have to save, as they add up some of what they save; the chief
    alone writes to the workdir.

    Args:
      run: with the weights that were evaluated.
      workdir: of the run; any directory that `tf.io.gfile` knows.

    Raises:
      StorageError: it could not be written.
    """
    path = os.path.join(workdir, "best", "model.keras")
    with workdirs.writing(path), tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "model.keras")
        run.model.save(local)
        if not run.devices.is_chief:
            return
        tf.io.gfile.makedirs(os.path.dirname(path))
        tf.io.gfile.copy(local, f"{path}.partial", overwrite=True)
        tf.io.gfile.rename(f"{path}.partial", path, overwrite=True)
