"""Pictures' pixels on a square of the plane around the origin."""

import numpy as np

__all__ = ["density_of", "histogram", "pixels"]


def pixels(size: int, half_width: float) -> np.ndarray:
    """The middles of the pixels, `[G, G, 2]`, float32.

    The second coordinate goes along the rows from below.

    Args:
      size: G, along a side.
      half_width: of the square.
    """
    axis = half_width * ((2 * np.arange(size) + 1) / size - 1)
    return np.stack(np.meshgrid(axis, axis), axis=-1).astype(np.float32)


def histogram(
    samples: np.ndarray, half_width: float, num_bins: int
) -> np.ndarray:
    """How many of `[N, 2]` lie in each pixel, `[G, G]`, as in `pixels`."""
    edges = np.linspace(-half_width, half_width, num_bins + 1)
    counts, _, _ = np.histogram2d(samples[:, 1], samples[:, 0], [edges, edges])
    return counts.astype(np.uint32)


def density_of(
    samples: np.ndarray, half_width: float, num_bins: int
) -> np.ndarray:
    """The density that samples `[N, 2]` stand for, on the same pixels."""
    pixel = (2.0 * half_width / num_bins) ** 2
    return histogram(samples, half_width, num_bins) / (len(samples) * pixel)
