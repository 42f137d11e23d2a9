"""Uniform on circles, Gaussian on lines: a base for periodic variables."""

import math
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.layers import FlowLayer
from tfp_flows.layers.parameter_head import ParameterSpec
from tfp_flows.math import stable
from tfp_flows.posteriors.gaussian_bases import GaussianBase, Parameters

__all__ = ["CircularBase", "check_circles"]

tfb, tfd = tfp.bijectors, tfp.distributions


class CircularBase(GaussianBase):
    """Some coordinates uniform on `[-pi, pi)`, the others of another base."""

    def __init__(
        self,
        latent_size: int,
        circular: Sequence[int],
        lines: GaussianBase | None,
        dtype: str,
    ) -> None:
        """Keeps the parts.

        Args:
          latent_size: D.
          circular: the coordinates that are uniform.
          lines: base of the others, in their order; None if there are none.
          dtype: of the samples.
        """
        self.latent_size = latent_size
        self._circles, self._lines, self._dtype = len(circular), lines, dtype
        others = [i for i in range(latent_size) if i not in set(circular)]
        order = [*others, *circular]  # lines before circles
        self._places = [order.index(i) for i in range(latent_size)]

    @property
    def noise_size(self) -> int:
        """See `GaussianBase`."""
        return self._circles + (self._lines.noise_size if self._lines else 0)

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        """See `GaussianBase`."""
        return self._lines.parameter_specs() if self._lines else {}

    def sample(
        self, noise: tf.Tensor, parameters: Parameters
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `GaussianBase`."""
        on_lines = noise[..., : -self._circles]
        on_circles = noise[..., -self._circles :]
        z = math.pi * (2.0 * stable.standard_normal_cdf(on_circles) - 1.0)
        log_prob = tf.zeros_like(z[..., 0]) - self._log_volume
        if self._lines:
            first, term = self._lines.sample(on_lines, parameters)
            z, log_prob = tf.concat([first, z], axis=-1), log_prob + term
        return tf.gather(z, self._places, axis=-1), log_prob

    @property
    def _log_volume(self) -> float:
        return self._circles * math.log(2.0 * math.pi)

    def distribution(self, parameters: Parameters) -> tfd.Distribution:
        """See `GaussianBase`."""
        if not self._lines:
            return self._uniform(tf.zeros([0], tf.int32))
        lines = self._lines.distribution(parameters)
        both = tfd.Blockwise([lines, self._uniform(lines.batch_shape_tensor())])
        return tfd.TransformedDistribution(both, tfb.Permute(self._places))

    def _uniform(self, batch_shape: tf.Tensor) -> tfd.Distribution:
        shape = tf.concat([batch_shape, [self._circles]], axis=0)
        end = tf.fill(shape, tf.cast(math.pi, self._dtype))
        return tfd.Independent(
            tfd.Uniform(-end, end), reinterpreted_batch_ndims=1
        )


def check_circles(
    flows: Sequence[FlowLayer], circular: Sequence[int], size: int
) -> None:
    """Raises unless the flows map the circles of the base to circles.

    Args:
      flows: layers.
      circular: the coordinates over which the base is uniform.
      size: D.
    """
    for index, flow in enumerate(flows):
        given = getattr(flow, "circular", False)
        of_flow = tuple(range(size)) if given is True else tuple(given or ())
        half_width = getattr(flow, "half_width", math.pi)
        if of_flow != tuple(circular) or (of_flow and half_width != math.pi):
            raise ValueError(
                "`flow` must be circular, with period 2 pi, in the variables "
                f"that are, {list(circular)}; got {list(of_flow)} in flow "
                f"{index}, `{flow.name}`. The layers of splines take "
                "`circular`, as do `FlowDistribution` and its posterior; of a "
                "`FlowDensity` it is a `support`."
            )
