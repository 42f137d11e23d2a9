"""Every flow layer by name, small, for the tests of their protocol."""

import functools

from configs.flows import FLOWS
from tfp_flows import layers
from tfp_flows.layers import (
    IAFFlow,
    MAFFlow,
    NICEFlow,
    PlanarFlow,
    RadialFlow,
    RealNVPFlow,
    SplineAutoregressiveFlow,
    SplineCouplingFlow,
)

HIDDEN = {"hidden_units": (6,)}
SPLINE = {"num_bins": 4, **HIDDEN}
_SMALL = {
    "num_orthogonal_columns": 2,
    "num_householder_reflections": 2,
    "num_sigmoids": 3,
    **SPLINE,
}


def _small(name):
    flow = FLOWS[name]
    sizes = {key: _SMALL[key] for key in flow.sizes if key in _SMALL}
    make = getattr(layers, flow.layer)
    return functools.partial(make, **flow.settings, **sizes)


LAYERS = {
    **{name: _small(name) for name in FLOWS},
    "nice_scaling": functools.partial(NICEFlow, scaling=True, **HIDDEN),
    "iaf_inverted": functools.partial(IAFFlow, inverted=True, **HIDDEN),
    "naf": functools.partial(_small("naf"), num_layers=2),
    "spline_coupling_circular": functools.partial(
        SplineCouplingFlow, circular=True, **SPLINE
    ),
    "spline_autoregressive_circular": functools.partial(
        SplineAutoregressiveFlow, circular=(0, 2), **SPLINE
    ),
}
# Those that a Gaussian base may stand behind.
ON_LINES = {
    name: layer
    for name, layer in LAYERS.items()
    if not name.endswith("_circular")
}
# Those that are the identity at the start.
IDENTITIES = {
    "planar": PlanarFlow,
    "radial": RadialFlow,
    "nice": functools.partial(NICEFlow, mixing="none", scaling=True, **HIDDEN),
    "real_nvp": functools.partial(RealNVPFlow, mixing="none", **HIDDEN),
    "iaf": functools.partial(IAFFlow, mixing="none", **HIDDEN),
    "maf": functools.partial(MAFFlow, mixing="none", **HIDDEN),
    "spline_autoregressive": functools.partial(
        SplineAutoregressiveFlow, mixing="none", **SPLINE
    ),
    **{
        name: LAYERS[name]
        for name in LAYERS
        if name.startswith("sylvester") or name.endswith("_circular")
    },
}
# How far off rounding leaves these, of those.
ROUNDING = {
    "spline_autoregressive": 1e-6,
    "spline_coupling_circular": 1e-6,
    "spline_autoregressive_circular": 1e-6,
}
