"""Mean and variance of data that are seen in blocks."""

import numpy as np

__all__ = ["Moments"]


class Moments:
    """Count, mean and variance per element of vectors `[N, D]`, in float64.

    Those of a block are merged into those of all before it, by the formula of
    Chan, Golub and LeVeque (1979): for counts n_a and n_b, means m and sums of
    squared deviations M, with d = m_b - m_a and n = n_a + n_b,

        m = m_a + d n_b / n,    M = M_a + M_b + d^2 n_a n_b / n,

    which cancels nothing, however large the mean is beside the deviation: they
    are those of x minus the first vector.
    """

    def __init__(self) -> None:
        """Of no vectors yet."""
        self.count = 0
        self._origin = np.zeros([])
        self._mean = np.zeros([])
        self._squares = np.zeros([])

    @property
    def mean(self) -> np.ndarray:
        """The mean, `[D]`."""
        return self._origin + self._mean

    def add(self, block: np.ndarray) -> None:
        """Takes vectors `[N, D]` into account."""
        block = np.asarray(block, np.float64)
        if not len(block):
            return
        if not self.count:
            self._origin = block[0]
        block = block - self._origin
        mean = block.mean(axis=0)
        total = self.count + len(block)
        delta = mean - self._mean
        self._squares = (
            self._squares
            + np.square(block - mean).sum(axis=0)
            + np.square(delta) * (self.count * len(block) / total)
        )
        self._mean = self._mean + delta * (len(block) / total)
        self.count = total

    def scale(self, dtype: str) -> np.ndarray:
        """Standard deviations (by n), `[D]`; 1 where nothing varies."""
        return np.where(self.is_still(dtype), 1.0, self._deviation)

    def is_still(self, dtype: str) -> np.ndarray:
        """Where what varies is the rounding in dtype, `[D]`."""
        eps = np.finfo(dtype).eps
        return self._deviation <= 8 * eps * np.abs(self.mean)

    @property
    def _deviation(self) -> np.ndarray:
        return np.sqrt(self._squares / max(self.count, 1))
