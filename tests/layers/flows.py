"""Every flow layer by name, small, for the tests of their protocol."""

import functools

from tfp_flows.layers import (
    CircularFlow,
    CONFFlow,
    DataAdaptiveFlow,
    HouseholderFlow,
    IAFFlow,
    MAFFlow,
    NAFFlow,
    NICEFlow,
    PlanarFlow,
    RadialFlow,
    RealNVPFlow,
    SplineAutoregressiveFlow,
    SplineCouplingFlow,
    SylvesterFlow,
    SymmetricFlow,
)

HIDDEN = {"hidden_units": (6,)}
SPLINE = {"num_bins": 4, **HIDDEN}

LAYERS = {
    "planar": PlanarFlow,
    "radial": RadialFlow,
    "nice_ortho": functools.partial(NICEFlow, **HIDDEN),
    "nice_perm": functools.partial(NICEFlow, mixing="permutation", **HIDDEN),
    "nice_scaling": functools.partial(NICEFlow, scaling=True, **HIDDEN),
    "real_nvp": functools.partial(RealNVPFlow, **HIDDEN),
    "circular": CircularFlow,
    "symmetric": SymmetricFlow,
    "data_adaptive": functools.partial(DataAdaptiveFlow, **HIDDEN),
    "conf": functools.partial(CONFFlow, **HIDDEN),
    "householder": HouseholderFlow,
    "sylvester_orthogonal": functools.partial(
        SylvesterFlow, num_orthogonal_columns=2
    ),
    "sylvester_householder": functools.partial(
        SylvesterFlow, kind="householder", num_householder_reflections=2
    ),
    "sylvester_triangular": functools.partial(SylvesterFlow, kind="triangular"),
    "iaf": functools.partial(IAFFlow, **HIDDEN),
    "iaf_gated": functools.partial(IAFFlow, update="gated", **HIDDEN),
    "iaf_inverted": functools.partial(IAFFlow, inverted=True, **HIDDEN),
    "maf": functools.partial(MAFFlow, **HIDDEN),
    "spline_coupling": functools.partial(SplineCouplingFlow, **SPLINE),
    "spline_autoregressive": functools.partial(
        SplineAutoregressiveFlow, **SPLINE
    ),
    "naf": functools.partial(NAFFlow, num_sigmoids=3, num_layers=2, **HIDDEN),
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
    **{name: LAYERS[name] for name in LAYERS if name.startswith("sylvester")},
}
# How far off rounding leaves these, of those.
ROUNDING = {"spline_autoregressive": 1e-6}
