"""The density of a model in the plane, on the pixels of a picture."""

import io
import os
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.densities.train import DensityRun
from trainers.runs import workdir as workdirs

__all__ = ["density_grid", "describe", "histogram", "read", "save"]


def density_grid(run: DensityRun) -> np.ndarray:
    """The density `[G, G]`, the second coordinate along the rows from below."""
    settings = run.config.evaluation
    size, half_width = settings.grid_size, settings.half_width
    # The middles of the pixels.
    axis = half_width * ((2 * np.arange(size) + 1) / size - 1)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return np.exp(run.log_likelihoods(x)).reshape(size, size)
