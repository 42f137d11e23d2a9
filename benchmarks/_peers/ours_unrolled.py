"""This library without `Scan`: a `tfb.Chain` of its bijectors, one a step."""

from typing import Any

import numpy as np
import tensorflow_probability as tfp

import tfp_flows
from benchmarks import _peers
from benchmarks._peers import ours

__all__ = ["make"]

tfb = tfp.bijectors


def make(flow: str, x: np.ndarray, settings: Any) -> _peers.Calls:
    """See `ours.make`."""
    return ours.make_calls(flow, x, settings, _unrolled)


def _unrolled(layer: Any, context: Any) -> tfb.Bijector:
    flow = layer.bijector(context)
    if isinstance(flow, tfb.Invert):
        return tfb.Invert(_chain(flow.bijector, layer.num_flow_steps))
    return _chain(flow, layer.num_flow_steps)


def _chain(flow: tfp_flows.bijectors.Scan, length: int) -> tfb.Bijector:
    members = [_member(flow.bijector, k) for k in range(length)]
    return tfb.Chain(members[::-1])  # the first one acts first


def _member(bijector: tfb.Bijector, index: int) -> tfb.Bijector:
    if isinstance(bijector, tfb.Chain):
        return tfb.Chain([_member(b, index) for b in bijector.bijectors])
    if isinstance(bijector, tfb.Invert):
        return tfb.Invert(_member(bijector.bijector, index))
    return bijector[index]
