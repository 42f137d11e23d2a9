"""Simulators of `sbibm`: parameters from a uniform prior, then data of them.

* `two_moons`: two crescents of radius 0.1, mirrored at a diagonal;
* `gaussian_mixture`: the common mean of two Gaussians, one wide, one narrow;
* `slcp`, "simple likelihood, complex posterior": four points of a Gaussian in
  the plane, whose mean, scales and correlation five parameters decide.

They are written after Lueckmann et al. (2021), Benchmarking simulation-based
inference, https://arxiv.org/abs/2101.04653, Appendix T; drawn by our noise.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_flows.math import noise

__all__ = ["SIMULATORS", "Simulator"]

_PART = 100_000  # simulations at a time: bounds the memory

Draw = Callable[[str, int], tf.Tensor]


def _two_moons(theta: tf.Tensor, uniform: Draw, normal: Draw) -> tf.Tensor:
    angle = math.pi * (uniform("angle", 1)[:, 0] - 0.5)
    radius = 0.1 + 0.01 * normal("radius", 1)[:, 0]
    first, second = tf.unstack(theta / math.sqrt(2.0), axis=-1)
    return tf.stack(
        [
            radius * tf.cos(angle) + 0.25 - tf.abs(first + second),
            radius * tf.sin(angle) + second - first,
        ],
        axis=-1,
    )


def _gaussian_mixture(
    theta: tf.Tensor, uniform: Draw, normal: Draw
) -> tf.Tensor:
    scale = tf.where(uniform("component", 1) < 0.5, 1.0, 0.1)
    return theta + scale * normal("data", theta.shape[-1])


def _slcp(theta: tf.Tensor, uniform: Draw, normal: Draw) -> tf.Tensor:
    del uniform
    loc_x, loc_y, root_x, root_y, angle = tf.unstack(
        theta[:, tf.newaxis], axis=-1
    )
    first, second = tf.unstack(
        tf.reshape(normal("data", 8), [-1, 4, 2]), axis=-1
    )
    correlation = tf.tanh(angle)
    along = correlation * first
    across = tf.sqrt(1.0 - correlation**2) * second
    points = [loc_x + root_x**2 * first, loc_y + root_y**2 * (along + across)]
    return tf.reshape(tf.stack(points, axis=-1), [-1, 8])


@dataclasses.dataclass(frozen=True)
class Simulator:
    """A simulator and its prior, uniform on a cube.

    Attributes:
      name: by which configs and `sbibm` know it.
      num_parameters: D.
      num_observed: numbers in one observation.
      half_width: the prior is uniform on `[-half_width, half_width]^D`.
      draw: data `[N, num_observed]` of parameters `[N, D]`, from functions
        that draw `[N, size]` noise for a purpose: uniform and normal.
    """

    name: str
    num_parameters: int
    num_observed: int
    half_width: float
    draw: Callable[[tf.Tensor, Draw, Draw], tf.Tensor]

    def simulate(
        self, n: int, *, seed: int, purpose: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Parameters `[n, D]` and data `[n, num_observed]`, float32.

        The first of more simulations of the same key are the same ones.

        Args:
          n: how many.
          seed: in [0, 2**31).
          purpose: other purposes give independent simulations.
        """
        parts = [
            self._part(seed, part, purpose)
            for part in range(math.ceil(n / _PART))
        ]
        thetas, xs = zip(*parts, strict=True)
        return np.concatenate(thetas)[:n], np.concatenate(xs)[:n]

    def _part(
        self, seed: int, part: int, purpose: str
    ) -> tuple[np.ndarray, np.ndarray]:
        def of(draw: Callable[..., tf.Tensor]) -> Draw:
            return lambda what, size: draw(
                [_PART, size],
                seed=seed,
                step=part,
                purpose=f"{self.name} {purpose} {what}",
            )

        uniform, normal = of(noise.uniform), of(noise.normal)
        unit = uniform("prior", self.num_parameters)
        theta = self.half_width * (2.0 * unit - 1.0)
        return theta.numpy(), self.draw(theta, uniform, normal).numpy()


SIMULATORS = {
    simulator.name: simulator
    for simulator in (
        Simulator("two_moons", 2, 2, 1.0, _two_moons),
        Simulator("gaussian_mixture", 2, 2, 10.0, _gaussian_mixture),
        Simulator("slcp", 5, 8, 3.0, _slcp),
    )
}
