"""The prior p(z) of a variational model: a layer, or standard normal."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows.math import stable

__all__ = ["check_prior", "log_prior"]


def check_prior(prior: Any) -> None:
    """Raises TypeError unless it is None or a layer that is a distribution."""
    if prior is None:
        return
    is_layer = isinstance(prior, keras.layers.Layer)
    if not is_layer or not callable(getattr(prior, "distribution", None)):
        raise TypeError(
            "`prior` must be a layer with a method `distribution()`, such as "
            f"a `FlowDistribution`, or None; got {prior!r}."
        )


def log_prior(prior: Any, z: tf.Tensor) -> tf.Tensor:
    """`log p(z)` in nats, `[...]`, of latents `[..., D]`.

    Args:
      prior: a layer with a method `distribution()`; None: standard normal.
      z: latents.

    Raises:
      ValueError: the prior is over other than D latents.
    """
    if prior is None:
        return stable.standard_normal_log_prob(z)
    distribution = prior.distribution()
    if not distribution.event_shape.is_compatible_with(z.shape[-1:]):
        raise ValueError(
            f"`prior` must be over the posterior's {z.shape[-1]} latents; got "
            f"event shape {tuple(distribution.event_shape)}."
        )
    return distribution.log_prob(z)
