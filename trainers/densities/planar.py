"""The density of a model in the plane, on the pixels of a picture."""

import os

import numpy as np

from trainers.densities.train import DensityRun
from trainers.runs import planes
from trainers.runs import workdir as workdirs

__all__ = ["FILE", "density_grid", "read_density", "save_density"]

FILE = "density.npz"  # in a workdir


def density_grid(run: DensityRun) -> np.ndarray:
    """The density `[G, G]`, the second coordinate along the rows from below.

    Args:
      run: trained or restored, on data in the plane.
    """
    settings = run.config.evaluation
    x = planes.pixels(settings.grid_size, settings.half_width)
    log_density = run.log_likelihoods(x.reshape(-1, 2))
    return np.exp(log_density).reshape(x.shape[:2])


def save_density(workdir: str, density: np.ndarray) -> None:
    """Keeps what `density_grid` returns for pictures of several runs."""
    arrays = {"density": density.astype(np.float16)}  # as pictures need it
    workdirs.write_arrays(os.path.join(workdir, FILE), arrays)


def read_density(workdir: str) -> np.ndarray:
    """What was kept in the workdir of a run, or copied from there."""
    kept = workdirs.read_arrays(os.path.join(workdir, FILE))["density"]
    return kept.astype(np.float32)
