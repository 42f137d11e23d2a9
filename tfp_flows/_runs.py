"""What the trainers leave behind, for use."""

import json
import os
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows._backend import require_tensorflow_backend

__all__ = ["TrainedRun", "load_run"]


class TrainedRun(NamedTuple):
    """A finished run of `python -m trainers.main`.

    Attributes:
      model: with the weights that were evaluated, ready for use and to be
        trained on.
      config: the resolved configuration, as nested dicts.
      results: what results.json holds.
    """

    model: Any
    config: dict[str, Any]
    results: dict[str, Any]


def load_run(workdir: str) -> TrainedRun:
    """Reads the model, the configuration and the results of a run.

    Args:
      workdir: its directory; any that `tf.io.gfile` knows.

    Raises:
      ValueError: it holds no run that has been evaluated.
    """
    require_tensorflow_backend("tfp_flows.load_run")
    import keras

    workdir = os.fspath(workdir)
    path = os.path.join(workdir, "best", "model.keras")
    missing = [
        name
        for name in ("config.json", "results.json", "best/model.keras")
        if not tf.io.gfile.exists(os.path.join(workdir, name))
    ]
    if missing:
        raise ValueError(
            "`workdir` must be that of a run that has been evaluated, which "
            "`--mode=eval` does where training is over or was stopped; got "
            f"{workdir!r}, without {', '.join(missing)}."
        )
    return TrainedRun(
        keras.saving.load_model(path),
        _read(os.path.join(workdir, "config.json")),
        _read(os.path.join(workdir, "results.json")),
    )


def _read(path: str) -> dict[str, Any]:
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())
