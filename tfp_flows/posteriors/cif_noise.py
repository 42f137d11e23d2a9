"""The noise of a continuously-indexed posterior, and what is made of it."""

import dataclasses

import tensorflow as tf

from tfp_flows.math import noise
from tfp_flows.types import TensorLike

__all__ = ["CIFNoise"]


@dataclasses.dataclass(frozen=True)
class CIFNoise:
    """Standard normal numbers: of z_0, of u_1 ... u_L, of M further draws.

    Attributes:
      base_size: of z_0.
      indices_size: of u_1, ..., u_L together.
      num_further: M.
    """

    base_size: int
    indices_size: int
    num_further: int

    @property
    def size(self) -> int:
        """Of one sample and its weight."""
        return self.base_size + (1 + self.num_further) * self.indices_size

    def split(
        self, standard_normal: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """The three parts of `[..., size]`.

        Returns:
          Of z_0, `[..., base_size]`, of u, `[..., indices_size]`, and of
          further ones, `[M, ..., indices_size]`; None if M = 0.
        """
        further_size = self.num_further * self.indices_size
        of_base, own, further = tf.split(
            standard_normal,
            [self.base_size, self.indices_size, further_size],
            axis=-1,
        )
        if not self.num_further:
            return of_base, own, None
        draws = tf.split(further, self.num_further, axis=-1)
        return of_base, own, tf.stack(draws)

    def of_points(
        self, z: tf.Tensor, num_samples: int, seed: int, step: TensorLike
    ) -> tf.Tensor:
        """Noise of u alone at given points, `[num_samples, ..., indices_size]`.

        Args:
          z: `[..., D]`.
          num_samples: at each of them.
          seed: decides them, with `step`.
          step: of a training.
        """
        rest = [self.indices_size]
        drawn = noise.normal(
            tf.concat([[num_samples], tf.shape(z)[:-1], rest], axis=0),
            seed=seed,
            step=step,
            purpose="log_prob_lower_bound",
            dtype=z.dtype,
        )
        return tf.ensure_shape(drawn, [num_samples, *z.shape[:-1], *rest])
