"""Gaussian likelihood of real data."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.likelihoods.location_scale import loc_and_scale

__all__ = ["gaussian"]

tfd = tfp.distributions


def gaussian(outputs: tf.Tensor) -> tfd.Normal:
    """Independent normal variables; `outputs` as `loc_and_scale` says."""
    loc, scale = loc_and_scale(outputs)
    return tfd.Normal(loc, scale)
