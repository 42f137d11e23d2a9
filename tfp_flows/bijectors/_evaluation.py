"""The passes that one eager evaluation of a distribution shares."""

import sys
import types
from typing import Any

import tensorflow_probability as tfp

__all__ = ["shared_passes"]

# `log_prob` takes the log-det at the very x that `inverse` returned, and
# `sample_and_log_prob` that of `forward`; neither hands x out.
_EVALUATIONS = frozenset(
    {
        tfp.distributions.TransformedDistribution.experimental_local_measure.__code__,
        tfp.distributions.TransformedDistribution._sample_and_log_prob.__code__,
    }
)
# What may stand between it and a bijector: bijectors of bijectors.
_TRUSTED = (
    "tensorflow_probability.python.",
    "tensorflow.python.util.",  # `nest`
    "tfp_flows.bijectors.",
)
_OPENS_TAPES = "tensorflow_probability.python.math."
_KEY = "passes of tfp_flows"


def shared_passes() -> dict[Any, Any] | None:
    """Where the evaluation that asks keeps its passes; None if none asks.

    The dictionary lies in the frame of the evaluation, and ends with it: what
    is found there was computed by the same call of `log_prob`, so that neither
    an assignment nor the beginning of a gradient tape lies in between, in
    whatever thread. A caller of other code than TFP's may do both, and may ask
    for the gradient at x: it shares nothing.
    """
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code in _EVALUATIONS:
            return frame.f_locals.setdefault(_KEY, {})
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_TRUSTED) or module.startswith(_OPENS_TAPES):
            return None
        frame = frame.f_back
    return None
