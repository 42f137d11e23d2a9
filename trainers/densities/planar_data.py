"""Data in the plane, drawn anew at every step; with their entropy, if known.

* `two_moons`: two half circles of radius 2, each around an end of the other;
* `pinwheel`: five arms of Gaussians, bent as they go outwards;
* `checkerboard`: uniform on 8 of the 16 squares of `[-4, 4]**2`;
* `eight_gaussians`: equal Gaussians on a circle of radius `2 * sqrt(2)`.

They are those of Grathwohl et al. (2019), https://arxiv.org/abs/1810.01367.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.math import noise
from tfp_flows.types import TensorLike

__all__ = ["PLANAR_DATA", "PlanarData"]

_RADIUS = 2.0 * math.sqrt(2.0)
_SCALE = _RADIUS / 8.0  # standard deviation of each of the eight
_NUM_GAUSSIANS = 8
_NUM_ARMS = 5


class _Noise:
    """The noise of n points, of one key."""

    def __init__(
        self, n: int, seed: int, step: TensorLike, purpose: str
    ) -> None:
        self._n, self._purpose = n, purpose
        self._key: dict[str, Any] = {"seed": seed, "step": step}

    def uniform(self, size: int, what: str) -> list[tf.Tensor]:
        """So many numbers on [0, 1) for each point, `[N]` each."""
        purpose = f"{self._purpose} {what}"
        drawn = noise.uniform([size, self._n], purpose=purpose, **self._key)
        return tf.unstack(drawn, num=size)

    def normal(self, what: str) -> list[tf.Tensor]:
        """Two standard normal numbers for each point, `[N]` each."""
        purpose = f"{self._purpose} {what}"
        drawn = noise.normal([2, self._n], purpose=purpose, **self._key)
        return tf.unstack(drawn, num=2)


def _two_moons(drawn: _Noise) -> tuple[tf.Tensor, tf.Tensor]:
    which, where = drawn.uniform(2, "moon and place")
    first, second = drawn.normal("width")
    is_lower = which < 0.5
    angle = math.pi * where
    x = tf.where(is_lower, 1.0 - tf.cos(angle), tf.cos(angle))
    y = tf.where(is_lower, 0.5 - tf.sin(angle), tf.sin(angle))
    return 2.0 * (x + 0.1 * first) - 1.0, 2.0 * (y + 0.1 * second) - 0.2


def _pinwheel(drawn: _Noise) -> tuple[tf.Tensor, tf.Tensor]:
    (which,) = drawn.uniform(1, "arm")
    first, second = drawn.normal("width")
    radial, tangential = 1.0 + 0.3 * first, 0.1 * second
    angle = 2.0 * math.pi / _NUM_ARMS * tf.floor(_NUM_ARMS * which)
    angle += 0.25 * tf.exp(radial)
    cos, sin = tf.cos(angle), tf.sin(angle)
    return (
        2.0 * (radial * cos + tangential * sin),
        2.0 * (tangential * cos - radial * sin),
    )


def _checkerboard(drawn: _Noise) -> tuple[tf.Tensor, tf.Tensor]:
    across, up = drawn.uniform(2, "place")
    column = tf.floor(4.0 * across)
    pair = tf.floor(2.0 * up)  # of squares, of which the column takes one
    # Nothing is rounded up to the next square.
    fraction = (2.0 * up - pair) * (1.0 - 2.0**-20)
    height = 2.0 * pair + tf.math.floormod(column, 2.0) + fraction
    return 8.0 * across - 4.0, 2.0 * height - 4.0


def _eight_gaussians(drawn: _Noise) -> tuple[tf.Tensor, tf.Tensor]:
    (which,) = drawn.uniform(1, "mode")
    first, second = drawn.normal("width")
    angle = 2.0 * math.pi / _NUM_GAUSSIANS * tf.floor(_NUM_GAUSSIANS * which)
    return (
        _RADIUS * tf.cos(angle) + _SCALE * first,
        _RADIUS * tf.sin(angle) + _SCALE * second,
    )


def _log_checkerboard(x: np.ndarray) -> np.ndarray:
    squares = np.floor(x / 2.0 + 2.0)
    is_inside = (np.abs(x) <= 4.0).all(axis=-1)
    is_of_it = is_inside & (squares.sum(axis=-1) % 2 == 0)
    return np.where(is_of_it, -math.log(32.0), -np.inf)


def _log_eight_gaussians(x: np.ndarray) -> np.ndarray:
    angles = 2.0 * np.pi * np.arange(_NUM_GAUSSIANS) / _NUM_GAUSSIANS
    modes = _RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    squares = np.square((x[..., np.newaxis, :] - modes) / _SCALE).sum(axis=-1)
    constant = math.log(_NUM_GAUSSIANS * 2.0 * math.pi * _SCALE**2)
    return np.logaddexp.reduce(-0.5 * squares, axis=-1) - constant


@dataclasses.dataclass(frozen=True)
class PlanarData:
    """A density in the plane that can be drawn from.

    Attributes:
      name: by which configs know it.
      entropy: in nats; None where it has no closed form.
      log_prob: the density of points `[..., 2]`, in nats; likewise.
    """

    name: str
    draw: Callable[[_Noise], tuple[tf.Tensor, tf.Tensor]]
    entropy: float | None = None
    log_prob: Callable[[np.ndarray], np.ndarray] | None = None

    def sample(
        self, n: int, *, seed: int, step: TensorLike, purpose: str
    ) -> tf.Tensor:
        """Points `[n, 2]`, float32, that the key decides.

        Args:
          n: how many.
          seed: in [0, 2**31).
          step: of a training; may be a tensor.
          purpose: other purposes give independent points.
        """
        x, y = self.draw(_Noise(n, seed, step, f"{self.name} {purpose}"))
        return tf.stack([x, y], axis=-1)

    def samples(self, n: int, *, seed: int, purpose: str) -> np.ndarray:
        """The same as an array, in parts that bound the memory."""
        size = 100_000
        parts = [
            self.sample(size, seed=seed, step=part, purpose=purpose).numpy()
            for part in range(math.ceil(n / size))
        ]
        return np.concatenate(parts)[:n]


PLANAR_DATA = {
    data.name: data
    for data in (
        PlanarData("two_moons", _two_moons),
        PlanarData("pinwheel", _pinwheel),
        PlanarData(
            "checkerboard", _checkerboard, math.log(32.0), _log_checkerboard
        ),
        PlanarData(
            "eight_gaussians",
            _eight_gaussians,
            # By quadrature in float64, converged to all digits shown
            # (tests/trainers/densities/test_planar_data.py).
            2.83157836052648,
            _log_eight_gaussians,
        ),
    )
}
