"""Pure functions on tensors: constraints, flow formulas, root search, noise."""

from tfp_flows.math import (
    constraints,
    noise,
    planar,
    radial,
    rolled_loop,
    root_finding,
    stable,
)

__all__ = [
    "constraints",
    "noise",
    "planar",
    "radial",
    "rolled_loop",
    "root_finding",
    "stable",
]
