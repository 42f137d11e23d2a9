"""Tables of the UCI Machine Learning Repository: where they are, what is in."""

import os

import numpy as np
import tensorflow as tf

from trainers.runs import errors

__all__ = ["find", "read_csv"]


def find(name: str, data_dir: str | None = None) -> str:
    """The path of a file in `data_dir`/uci, or in a folder uci beside that.

    Args:
      name: of the file.
      data_dir: Default: the environment's TFDS_DATA_DIR.

    Raises:
      InputError: if it is not there.
    """
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR")
    if data_dir:
        parent = os.path.dirname(os.path.abspath(data_dir))
        for folder in (data_dir, parent):
            path = os.path.join(folder, "uci", name)
            if tf.io.gfile.exists(path):
                return path
    raise errors.InputError(
        f"`--data_dir` must name a folder that holds uci/{name}, or one beside "
        f"uci; got {data_dir!r}."
    )


def read_csv(path: str) -> tuple[list[str], np.ndarray]:
    """The names of the columns and the rows, `[N, C]`.

    Empty cells, and those that hold no number, are NaN.

    Raises:
      ValueError: rows of different lengths.
      OSError: the file cannot be read, or TensorFlow's error of that.
    """
    with tf.io.gfile.GFile(path) as file:
        names = file.readline().strip().split(",")
        return names, np.genfromtxt(file, delimiter=",")
