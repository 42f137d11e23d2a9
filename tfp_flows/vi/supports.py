"""The bijectors onto the supports of a joint distribution's variables."""

from typing import Any

import tensorflow_probability as tfp

from tfp_flows import _tfp

__all__ = ["joint_bijector", "of_distribution"]

tfb, tfd = tfp.bijectors, tfp.distributions


def of_distribution(distribution: Any) -> tfb.Bijector | None:
    """TFP's default, with log-dets that fit TFP's densities.

    A Dirichlet's density is one of the first n of its n + 1 numbers, while the
    log-det of TFP's own choice, `SoftmaxCentered`, is that of the surface that
    they lie on, larger by `log(n + 1) / 2`; it also fails under NumPy 2.4.
    `IteratedSigmoidCentered` is right on both counts.

    Args:
      distribution: of one variable.

    Returns:
      None if there is none: it is discrete.
    """
    if _is_on_simplex(distribution):
        return tfb.IteratedSigmoidCentered()
    return distribution.experimental_default_event_space_bijector()


def joint_bijector(joint: Any) -> tfb.Bijector:
    """From all unconstrained variables of a model to the variables.

    Supports may depend on variables that come before in the model.

    Args:
      joint: a joint distribution, pinned or not.
    """
    kind = _tfp.DefaultJointBijector
    if getattr(joint, "use_vectorized_map", False):
        kind = (
            _tfp.DefaultJointBijectorAutoBatchedWithPins
            if hasattr(joint, "pins")
            else _tfp.DefaultJointBijectorAutoBatched
        )
    return kind(joint, bijector_fn=of_distribution)


def _is_on_simplex(distribution: Any) -> bool:
    """Also of many: the bijector has no parameters, so any batch will do."""
    if isinstance(distribution, _tfp.Independent | _tfp.Sample):
        return _is_on_simplex(distribution.distribution)
    return isinstance(
        distribution, tfd.Dirichlet | tfd.RelaxedOneHotCategorical
    )
