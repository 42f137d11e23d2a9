"""Pure functions on tensors: constraints, flow formulas, root search, noise."""

from tfp_flows.math import (
    circulant,
    constraints,
    coupling,
    householder,
    linear,
    networks,
    noise,
    permutations,
    planar,
    radial,
    rolled_loop,
    root_finding,
    s_log,
    stable,
    sylvester,
    symmetric,
)

__all__ = [
    "circulant",
    "constraints",
    "coupling",
    "householder",
    "linear",
    "permutations",
    "networks",
    "noise",
    "planar",
    "radial",
    "rolled_loop",
    "root_finding",
    "s_log",
    "stable",
    "sylvester",
    "symmetric",
]
