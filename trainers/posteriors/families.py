"""Families of surrogate posteriors on R^D, for TFP to train."""

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import layers

__all__ = ["FAMILIES", "make_surrogate"]

tfb, tfd = tfp.bijectors, tfp.distributions

_MakeLayer = Callable[[int], layers.FlowLayer]

_FLOWS: dict[str, _MakeLayer] = {
    "planar": lambda seed: layers.PlanarFlow(16, seed=seed),
    "iaf": lambda seed: layers.IAFFlow(2, (64, 64), seed=seed),
    "spline": lambda seed: layers.SplineAutoregressiveFlow(
        2, (64, 64), seed=seed
    ),
}
FAMILIES = ("mean_field", "full_rank", *_FLOWS)


def make_surrogate(
    family: str, event_size: int, initial_scale: float = 1.0, seed: int = 0
) -> tfd.Distribution:
    """A distribution whose `trainable_variables` TFP trains.

    `mean_field` and `full_rank` are Gaussians. The others are
    `loc + L flow(e)`, e standard normal, with a free lower triangular L: the
    flow bends, at a scale of 1, what the full-rank Gaussian has shaped.

    Args:
      family: one of `FAMILIES`.
      event_size: D.
      initial_scale: standard deviation of each coordinate at the start.
      seed: of the flow's initial weights.

    Raises:
      ValueError: an unknown family.
    """
    if family not in FAMILIES:
        raise ValueError(
            f"`family` must be one of {', '.join(FAMILIES)}; got {family!r}."
        )
    loc = tf.Variable(tf.zeros([event_size]), name="loc")
    if family == "mean_field":
        scale = tfp.util.TransformedVariable(
            tf.fill([event_size], initial_scale), tfb.Softplus(), name="scale"
        )
        return tfd.MultivariateNormalDiag(loc, scale)
    scale_tril = tfp.util.TransformedVariable(
        initial_scale * tf.eye(event_size), tfb.FillScaleTriL(), name="L"
    )
    if family == "full_rank":
        return tfd.MultivariateNormalTriL(loc, scale_tril)
    layer = _FLOWS[family](seed)
    layer.build((None, event_size))
    return tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(
            tf.zeros([event_size]), tf.ones([event_size])
        ),
        tfb.Chain(  # the last one first
            [
                tfb.Shift(loc),
                tfb.ScaleMatvecTriL(scale_tril),
                layer.trainable_bijector(),
            ]
        ),
    )
