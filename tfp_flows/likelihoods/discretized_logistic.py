"""Discretized logistic likelihood of 8-bit grey values in [0, 1]."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.likelihoods.location_scale import (
    LocationScale,
    loc_and_scale,
)
from tfp_flows.likelihoods.weighted_sum import weighted_sum

__all__ = ["NUM_LEVELS", "DiscretizedLogistic", "discretized_logistic"]

tfb = tfp.bijectors
tfd = tfp.distributions

NUM_LEVELS = 256
_WIDTH = 1.0 / (NUM_LEVELS - 1)


class DiscretizedLogistic(LocationScale):
    """Mass of a logistic variable on the 256 levels `k / 255` of [0, 1].

        log P(x) = log(F(x + w / 2) - F(x - w / 2)),    w = 1 / 255

    with F the logistic distribution function; the bin of 0 begins at minus
    infinity and that of 1 ends at infinity, so that the masses add up to 1.
    It is a probability, not a density: a log-likelihood of grey values in
    nats that needs no dequantization noise. The idea is that of Salimans et
    al. (2017) [1] with one component.

    #### Numerics

    With `a < b` the standardized ends of a bin, the difference is

        log(F(b) - F(a)) = log F(b) + log F(-a) + log(1 - exp(a - b)),

    exactly, and `b - a = w / scale` needs no subtraction: no term cancels or
    underflows, however far out the bin lies, so no special case is needed.
    `log_prob` takes x to the nearest level; its gradient with respect to x is
    zero.

    #### References

    1. T. Salimans et al. PixelCNN++. ICLR 2017.
       https://arxiv.org/abs/1701.05517
    """

    def __init__(
        self,
        loc: tf.Tensor,
        scale: tf.Tensor,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "DiscretizedLogistic",
    ) -> None:
        """Constructs the distribution.

        Args:
          loc: mean of the logistic variable, in units of x, `[...]`.
          scale: its scale, in units of x, positive, `[...]`.
          validate_args: as in TFP. Default: False.
          allow_nan_stats: as in TFP. Default: True.
          name: name of the operations.
        """
        super().__init__(
            loc,
            scale,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            parameters=dict(locals()),
        )

    # TFP logs a warning at every use of a class that only inherits this.
    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType | None, num_classes: int | None = None
    ) -> dict[str, Any]:
        return super()._parameter_properties(dtype, num_classes)

    def _default_event_space_bijector(self) -> None:
        return None

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        level = _nearest_level(x)
        center = level * _WIDTH - self.loc
        below_upper_end = tf.math.log_sigmoid(
            (center + 0.5 * _WIDTH) / self.scale
        )
        above_lower_end = tf.math.log_sigmoid(
            (0.5 * _WIDTH - center) / self.scale
        )
        not_both_outside = tf.math.log(-tf.math.expm1(-_WIDTH / self.scale))
        is_first = tf.equal(level, 0.0)
        is_last = tf.equal(level, NUM_LEVELS - 1.0)
        zero = tf.zeros([], self.dtype)
        return (
            tf.where(is_last, zero, below_upper_end)
            + tf.where(is_first, zero, above_lower_end)
            + tf.where(is_first | is_last, zero, not_both_outside)
        )

    def _sample_n(self, n: int | tf.Tensor, seed: Any = None) -> tf.Tensor:
        x = tfd.Logistic(self.loc, self.scale).sample(n, seed=seed)
        return _nearest_level(x) * _WIDTH

    def _mean(self) -> tf.Tensor:
        """`w` times the sum of `P(x > end)` over the ends between the bins."""
        loc = self.loc + tf.zeros_like(self.scale)
        ends = _WIDTH * (np.arange(NUM_LEVELS - 1) + 0.5)
        return weighted_sum(
            lambda end: tf.sigmoid((loc - end) / self.scale),
            ends,
            np.full_like(ends, _WIDTH),
            like=loc,
        )


def _nearest_level(x: tf.Tensor) -> tf.Tensor:
    """The index in 0, ..., 255 of the level nearest to x, a float."""
    last = NUM_LEVELS - 1.0
    return tf.clip_by_value(tf.round(x * last), 0.0, last)


def discretized_logistic(outputs: tf.Tensor) -> DiscretizedLogistic:
    """Independent discretized logistics; `outputs` as `loc_and_scale` says."""
    loc, scale = loc_and_scale(outputs)
    return DiscretizedLogistic(loc, scale)
