"""Every flow layer by name, small, for the tests of their protocol."""

import functools

from tfp_flows.layers import (
    CircularFlow,
    CONFFlow,
    DataAdaptiveFlow,
    HouseholderFlow,
    IAFFlow,
    MAFFlow,
    NICEFlow,
    PlanarFlow,
    RadialFlow,
    RealNVPFlow,
    SylvesterFlow,
    SymmetricFlow,
)

HIDDEN = {"hidden_units": (6,)}

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
}
# Those that are the identity at the start.
IDENTITIES = {
    "planar": PlanarFlow,
    "radial": RadialFlow,
    "nice": functools.partial(NICEFlow, mixing="none", scaling=True, **HIDDEN),
    "real_nvp": functools.partial(RealNVPFlow, mixing="none", **HIDDEN),
    "iaf": functools.partial(IAFFlow, mixing="none", **HIDDEN),
    "maf": functools.partial(MAFFlow, mixing="none", **HIDDEN),
    **{name: LAYERS[name] for name in LAYERS if name.startswith("sylvester")},
}
