"""Observations and reference posteriors of the package `sbibm`, as files.

Its requirements (PyTorch and several inference packages) are not needed: it is
installed by `pip install --no-deps sbibm` and never imported.
"""

import bz2
import importlib.util
import os
from typing import NamedTuple

import numpy as np

from trainers.runs import errors

__all__ = ["NUM_OBSERVATIONS", "References", "load"]

NUM_OBSERVATIONS = 10


class References(NamedTuple):
    """What a posterior is judged by.

    Attributes:
      observations: `[10, num_observed]`, float32.
      draws: `[10, N, D]`, float32, of the posterior given each.
    """

    observations: np.ndarray
    draws: np.ndarray


def load(task: str) -> References:
    """Reads the observations of a task and the draws of their posteriors.

    Args:
      task: "two_moons", "gaussian_mixture" or "slcp".

    Raises:
      InputError: the package is not installed, or a file cannot be used.
    """
    folder = os.path.join(_package(), "tasks", task, "files")
    observations, draws = [], []
    for number in range(1, NUM_OBSERVATIONS + 1):
        place = os.path.join(folder, f"num_observation_{number}")
        observations.append(_rows(os.path.join(place, "observation.csv"))[0])
        draws.append(
            _rows(os.path.join(place, "reference_posterior_samples.csv.bz2"))
        )
    try:
        return References(np.stack(observations), np.stack(draws))
    except ValueError as error:
        raise errors.InputError(
            f"`sbibm` must have equally many numbers for each observation of "
            f"{task} in {folder!r}; got {error}."
        ) from error


def _package() -> str:
    spec = importlib.util.find_spec("sbibm")  # finds it, imports nothing
    folders = list((spec and spec.submodule_search_locations) or ())
    if not folders:
        raise errors.InputError(
            "`sbibm` must be installed, whose reference posteriors are wanted: "
            "pip install --no-deps sbibm (of its files alone; none of its "
            "requirements is needed); got none."
        )
    return folders[0]


def _rows(path: str) -> np.ndarray:
    """The numbers below one line of names, `[N, C]`."""
    opened = bz2.open if path.endswith(".bz2") else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            file.readline()
            found = np.loadtxt(file, delimiter=",", dtype=np.float32, ndmin=2)
        if not (len(found) and np.isfinite(found).all()):
            raise ValueError("no rows, or numbers that are not finite")
    except (OSError, EOFError, ValueError) as error:
        raise errors.InputError(
            f"`sbibm` must have numbers in {path!r}; got {error}."
        ) from error
    return found
