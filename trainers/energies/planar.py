"""What is known of a fit in the plane: where its samples are, its density."""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import targets
from trainers.energies.fit import EnergyRun, Target
from trainers.runs import planes
from trainers.runs import workdir as workdirs

__all__ = [
    "density_grid",
    "describe",
    "describe_modes",
    "is_planar",
    "read_histogram",
    "save_histogram",
]

# A mode is found if at least this part of its share of the samples is near it:
# within so many standard deviations.
_LEAST_PART = 0.5
_NEAR = 3.0


def is_planar(target: Target) -> bool:
    """Whether a target can be shown as a picture."""
    return target.event_shape == [2]


def density_grid(run: EnergyRun) -> tuple[np.ndarray, np.ndarray | None]:
    """The target and the fit on a grid of points that no sampler has made.

    Args:
      run: trained or restored.

    Returns:
      Two arrays `[G, G]` of densities, `z_2` along the rows from below and
      `z_1` along the columns. The second is None where there is no density.
    """
    settings = run.config.evaluation
    size = settings.grid_size
    z = planes.pixels(size, settings.half_width)
    target = np.exp(
        run.model.target.unnormalized_log_prob(z)
        - run.model.target.log_normalizer
    )
    if not run.model.posterior.has_density:
        return target, None
    points = tf.reshape(tf.constant(z), [-1, 2])
    return target, np.exp(run.model.log_prob(points)).reshape(size, size)


def describe(run: EnergyRun, samples: np.ndarray) -> dict[str, Any]:
    """What results.json holds of a fit in the plane.

    Args:
      run: trained or restored.
      samples: of the fit, `[N, 2]`.
    """
    settings = run.config.evaluation
    half_width = settings.half_width
    found: dict[str, Any] = {
        "share_outside": float((abs(samples) > half_width).any(-1).mean()),
        "half_width": half_width,
    }
    density = density_grid(run)[1]
    if density is not None:
        # Integral of exp(log_prob) over the square, by the figure's pixels.
        pixel = (2 * half_width / settings.grid_size) ** 2
        found["density_inside"] = float(density.sum(dtype=np.float64) * pixel)
    if run.model.target.modes:
        found |= describe_modes(run.model.target, samples)
    return found


def describe_modes(
    target: targets.Target, samples: np.ndarray
) -> dict[str, Any]:
    """Which modes of a mixture hold at least half of their share of samples.

    Args:
      target: with modes.
      samples: `[N, 2]`.

    Returns:
      `num_modes`, `num_modes_found`, the share of the samples within three
      standard deviations of each mode, and that of all others, `between_modes`.
    """
    assert target.mode_scale is not None  # it has modes
    modes = np.array(target.modes)
    distances = np.linalg.norm(samples[:, np.newaxis] - modes, axis=-1)
    shares = (distances <= _NEAR * target.mode_scale).mean(axis=0)
    return {
        "num_modes": len(modes),
        "num_modes_found": int((shares >= _LEAST_PART / len(modes)).sum()),
        "mode_shares": shares.tolist(),
        "between_modes": float(1.0 - shares.sum()),
    }


def save_histogram(workdir: str, run: EnergyRun, samples: np.ndarray) -> None:
    """Writes the counts, and what makes a density of them, as a small file."""
    settings = run.config.evaluation
    counts = planes.histogram(samples, settings.half_width, settings.num_bins)
    workdirs.write_arrays(
        os.path.join(workdir, "histogram.npz"),
        {
            "counts": counts,
            "half_width": np.float64(settings.half_width),
            "num_samples": np.int64(len(samples)),
        },
    )


def read_histogram(directory: str) -> np.ndarray:
    """The density that the counts in a directory stand for, `[G, G]`."""
    found = workdirs.read_arrays(os.path.join(directory, "histogram.npz"))
    counts = found["counts"]
    pixel = (2.0 * found["half_width"] / len(counts)) ** 2
    return counts / (found["num_samples"] * pixel)
