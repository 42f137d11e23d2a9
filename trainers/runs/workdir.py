"""The directory of one run: who may use it, and the files in it.

    config.json      the resolved configuration, the identity of the run
    run.json         one record for every start: versions, commit, devices
    checkpoints/     what a resumed run needs
    best/            weights of the best validation; model.keras, the model that
                     was evaluated, for `tfp_flows.load_run` (images)
    tensorboard/     scalars of training, and of validation
    metrics.jsonl    one JSON object for every log point
    results.json     the final evaluation
    per_image.npz    what its means are over (images)
    density.npz      that of the model, on pixels (2-D data)
    figures/         pictures of the fit

Everything goes through `tf.io.gfile`. Nothing that was found is deleted.
"""

import contextlib
import io
import json
import os
import statistics
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import config_dict

from trainers.runs import errors

__all__ = [
    "MetricsLog",
    "fingerprint",
    "prepare",
    "read_arrays",
    "read_json",
    "write_arrays",
    "write_json",
    "writing",
]


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns what the file system refuses into one `StorageError`.

    Args:
      path: what is being written, for the message.
    """
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        raise errors.StorageError(
            f"`workdir` must have room for the files of the run; {path!r} "
            f"could not be written ({getattr(error, 'message', error)})."
        ) from error


def read_json(path: str) -> Any:
    """Reads one JSON file."""
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())


def write_json(path: str, value: Any) -> None:
    """Writes one JSON file, whole or not at all."""
    partial = path + ".partial"
    with tf.io.gfile.GFile(partial, "w") as file:
        file.write(json.dumps(value, indent=2) + "\n")
    tf.io.gfile.rename(partial, path, overwrite=True)


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """Reads one file of arrays, by name."""
    with (
        tf.io.gfile.GFile(path, "rb") as file,
        np.load(io.BytesIO(file.read())) as arrays,
    ):
        return dict(arrays)


def write_arrays(path: str, arrays: Mapping[str, Any]) -> None:
    """Writes one file of arrays.

    Raises:
      StorageError: it could not be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with writing(path), tf.io.gfile.GFile(path, "wb") as file:
        file.write(buffer.getvalue())


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    """The paths at which two nested dictionaries differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            difference
            for key in sorted(old.keys() | new.keys())
            for difference in _differences(
                old.get(key), new.get(key), f"{path}.{key}".strip(".")
            )
        ]
    return [] if old == new else [path]


def _check_owner(workdir: str, config: dict[str, Any]) -> None:
    """Refuses a directory that is not empty and not of this config."""
    path = os.path.join(workdir, "config.json")
    if not tf.io.gfile.exists(path):
        raise errors.InputError(
            "`workdir` must be new, empty or of the same config; got "
            f"{workdir!r}, which has files but no config.json."
        )
    try:
        found = read_json(path)
    except ValueError as error:
        raise errors.InputError(
            "`workdir` must hold a readable config.json; got "
            f"{path!r} ({error})."
        ) from error
    differences = _differences(found, config)
    if differences:
        raise errors.InputError(
            "`workdir` must be new, empty or of the same config; got "
            f"{workdir!r}, whose config.json differs in "
            f"{', '.join(differences)}."
        )


def prepare(
    workdir: str, config: config_dict.ConfigDict, record: Mapping[str, Any]
) -> None:
    """Makes `workdir` ready for a run of `config`, or refuses.

    Args:
      workdir: directory to make; new, empty, or left by a run of the same
        config, which is then continued.
      config: written to config.json.
      record: what to remember of this start; appended to run.json.

    Raises:
      InputError: if the directory belongs to something else, or cannot be
        written to.
    """
    # Through JSON and back, so that it compares equal to what was written.
    resolved = json.loads(json.dumps(config.to_dict()))
    try:
        if tf.io.gfile.exists(workdir) and not tf.io.gfile.isdir(workdir):
            raise errors.InputError(
                f"`workdir` must be a directory; got the file {workdir!r}."
            )
        tf.io.gfile.makedirs(workdir)
        if tf.io.gfile.listdir(workdir):
            _check_owner(workdir, resolved)
        else:
            write_json(os.path.join(workdir, "config.json"), resolved)
        runs_path = os.path.join(workdir, "run.json")
        runs = read_json(runs_path) if tf.io.gfile.exists(runs_path) else []
        write_json(runs_path, [*runs, dict(record)])
        tf.io.gfile.makedirs(os.path.join(workdir, "figures"))
    except (tf.errors.OpError, OSError) as error:
        raise errors.InputError(
            f"`workdir` must be a directory that can be written to; got "
            f"{workdir!r} ({getattr(error, 'message', error)})."
        ) from error


def fingerprint(workdir: str) -> int:
    """A number below 2**24 that tells a directory from one started elsewhere.

    Of the starts that run.json records; -1 if there is none.
    """
    path = os.path.join(workdir, "run.json")
    if not tf.io.gfile.exists(path):
        return -1
    with tf.io.gfile.GFile(path, "rb") as file:
        return zlib.crc32(file.read()) % 2**24


class MetricsLog:
    """Appends to metrics.jsonl, in which every step stands once."""

    def __init__(self, workdir: str) -> None:
        """Opens the log of `workdir`.

        Args:
          workdir: directory of the run.
        """
        self._path = os.path.join(workdir, "metrics.jsonl")

    def read(self) -> list[dict[str, Any]]:
        """All complete lines; a line cut short by a crash is left out."""
        if not tf.io.gfile.exists(self._path):
            return []
        with tf.io.gfile.GFile(self._path) as file:
            lines = file.read().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("}\n")]

    def median_seconds_per_step(self) -> float | None:
        """Over all lines but the first, which compiles; None without lines."""
        seconds = [line["seconds_per_step"] for line in self.read()]
        seconds = seconds[1:] or seconds
        return statistics.median(seconds) if seconds else None

    def seconds(self) -> float:
        """Of all steps in the lines, compilation included."""
        total, before = 0.0, 0
        for line in self.read():
            total += line["seconds_per_step"] * (line["step"] - before)
            before = line["step"]
        return total

    def last_slope(self, name: str) -> float | None:
        """How much a value still changed a step, at the end of training.

        By least squares over the last tenth of its curve.

        Args:
          name: of the value, such as "val_elbo"; it may stand in some lines.

        Returns:
          The slope; None if there are fewer than two points.
        """
        lines = [line for line in self.read() if name in line]
        late = [l for l in lines if l["step"] >= 0.9 * lines[-1]["step"]]
        if len(late) < 2:
            return None
        steps, values = ([line[key] for line in late] for key in ("step", name))
        return float(np.polyfit(steps, values, deg=1)[0])

    def rewind(self, step: int) -> None:
        """Drops what lies behind `step`: these steps are about to be redone."""
        if not tf.io.gfile.exists(self._path):
            return
        kept = [line for line in self.read() if line["step"] <= step]
        partial = self._path + ".partial"
        with writing(self._path):
            with tf.io.gfile.GFile(partial, "w") as file:
                file.write("".join(json.dumps(line) + "\n" for line in kept))
            tf.io.gfile.rename(partial, self._path, overwrite=True)

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds one line; it must have the key `step`."""
        with writing(self._path), tf.io.gfile.GFile(self._path, "a") as file:
            file.write(json.dumps(dict(line)) + "\n")
