"""The flows by the names that configs and the command line give them.

The one list of them: configs, trainers, benchmarks, README's table and the
tests derive from it. A new flow is a bijector, its layer, and one entry here.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import config_dict

__all__ = ["AUTOREGRESSIVE", "COUPLINGS", "FLOWS", "Flow", "add_settings"]


class Flow(NamedTuple):
    """One flow: its classes, what they take, its paper and what it costs.

    `cost` is that of one step for one point, in D coordinates, with W hidden
    units in a network's layer, H reflections and M columns.
    """

    layer: str  # in `tfp_flows.layers`
    bijectors: tuple[str, ...]  # those of `tfp_flows.bijectors` in one step
    paper: str
    log_det: str
    inverse: str
    cost: str
    # "direct": weights or a head give the parameters. A network in each step
    # gives those of a "coupling", from some of the coordinates, and those of an
    # "autoregressive" flow, from the coordinates before.
    kind: str = "direct"
    settings: Mapping[str, Any] = {}  # arguments of the layer that make it
    sizes: Mapping[str, str] = {}  # other arguments, by the config's key
    fast_inverse: bool = False  # for all others the forward map is the fast one
    rolled: bool = True  # whether the layer makes one `Scan` of its steps


_NETWORK = {
    "hidden_units": "conditioner_hidden_units",
    "activation": "conditioner_activation",
}
_SPLINE = {**_NETWORK, "num_bins": "num_bins", "tail_bound": "tail_bound"}
_SYLVESTER_SIZES = {
    name: name
    for name in ("num_orthogonal_columns", "num_householder_reflections")
}

_NICE = "Dinh et al. 2014; mixing: Rezende & Mohamed 2015"
_KARAMI = "Karami et al. 2019"
_SYLVESTER = "van den Berg et al. 2018"
_SEARCHES = (
    "back-substitution, {} root searches on a scalar, implicit gradients"
)
_NSF = "Durkan et al. 2019"
_PASSES = "at most D passes in one loop, implicit gradients"
_PASSES_COST = "O(D W + W^2), at most D times that for the inverse"

_IAF = Flow(
    layer="IAFFlow",
    bijectors=("InverseAutoregressive", "Permutation"),
    paper="Kingma et al. 2016",
    log_det="closed form",
    inverse=_PASSES,
    cost=_PASSES_COST,
    kind="autoregressive",
    sizes=_NETWORK,
)

FLOWS: dict[str, Flow] = {
    "planar": Flow(
        layer="PlanarFlow",
        bijectors=("Planar",),
        paper="Rezende & Mohamed 2015",
        log_det="closed form",
        inverse="root search on one scalar, implicit gradients",
        cost="O(D)",
    ),
    "radial": Flow(
        layer="RadialFlow",
        bijectors=("Radial",),
        paper="Rezende & Mohamed 2015",
        log_det="closed form",
        inverse="closed form",
        cost="O(D)",
    ),
    "nice_ortho": Flow(
        layer="NICEFlow",
        bijectors=("AdditiveCoupling", "Orthogonal"),
        paper=_NICE,
        log_det="0",
        inverse="closed form",
        cost="O(D^2 + D W)",
        kind="coupling",
        settings={"mixing": "orthogonal"},
        sizes=_NETWORK,
    ),
    "nice_perm": Flow(
        layer="NICEFlow",
        bijectors=("AdditiveCoupling", "Permutation"),
        paper=_NICE,
        log_det="0",
        inverse="closed form",
        cost="O(D W)",
        kind="coupling",
        settings={"mixing": "permutation"},
        sizes=_NETWORK,
    ),
    "real_nvp": Flow(
        layer="RealNVPFlow",
        bijectors=("AffineCoupling", "Permutation"),
        paper="Dinh et al. 2016",
        log_det="closed form",
        inverse="closed form",
        cost="O(D W)",
        kind="coupling",
        sizes=_NETWORK,
    ),
    "circular": Flow(
        layer="CircularFlow",
        bijectors=("CircularConvolution", "SLog"),
        paper=_KARAMI,
        log_det="closed form, in the frequency domain",
        inverse="closed form",
        cost="O(D log D), FFT",
    ),
    "symmetric": Flow(
        layer="SymmetricFlow",
        bijectors=("SymmetricConvolution", "SLog"),
        paper=_KARAMI,
        log_det="closed form, in the frequency domain",
        inverse="closed form",
        cost="O(D log D), DCT-II",
    ),
    "data_adaptive": Flow(
        layer="DataAdaptiveFlow",
        bijectors=("DataAdaptiveConvolution", "Permutation"),
        paper=_KARAMI,
        log_det="closed form, in the frequency domain",
        inverse="closed form",
        cost="O(D log D + D W), FFT",
        kind="coupling",
        sizes=_NETWORK,
    ),
    "conf": Flow(
        layer="CONFFlow",
        bijectors=("ConvolutionCoupling", "Permutation"),
        paper=_KARAMI,
        log_det="closed form, in the frequency domain",
        inverse="closed form",
        cost="O(D log D + D W), FFT",
        kind="coupling",
        sizes=_NETWORK,
    ),
    "householder": Flow(
        layer="HouseholderFlow",
        bijectors=("Householder",),
        paper="Tomczak & Welling 2016",
        log_det="0",
        inverse="closed form, the transpose",
        cost="O(D H)",
    ),
    "sylvester_orthogonal": Flow(
        layer="SylvesterFlow",
        bijectors=("SylvesterOrthogonal",),
        paper=_SYLVESTER,
        log_det="closed form, on M scalars",
        inverse=_SEARCHES.format("M"),
        cost="O(D M)",
        settings={"kind": "orthogonal"},
        sizes=_SYLVESTER_SIZES,
    ),
    "sylvester_householder": Flow(
        layer="SylvesterFlow",
        bijectors=("SylvesterHouseholder",),
        paper=_SYLVESTER,
        log_det="closed form, on D scalars",
        inverse=_SEARCHES.format("D"),
        cost="O(D^2 + D H)",
        settings={"kind": "householder"},
        sizes=_SYLVESTER_SIZES,
    ),
    "sylvester_triangular": Flow(
        layer="SylvesterFlow",
        bijectors=("SylvesterTriangular",),
        paper=_SYLVESTER,
        log_det="closed form, on D scalars",
        inverse=_SEARCHES.format("D"),
        cost="O(D^2)",
        settings={"kind": "triangular"},
        sizes=_SYLVESTER_SIZES,
    ),
    "maf": Flow(
        layer="MAFFlow",
        bijectors=("MaskedAutoregressive", "Permutation"),
        paper="Papamakarios et al. 2017",
        log_det="closed form",
        inverse="closed form; forward: at most D passes in one loop",
        cost="O(D W + W^2), at most D times that forward",
        kind="autoregressive",
        sizes=_NETWORK,
        fast_inverse=True,
    ),
    "iaf": _IAF,
    "iaf_gated": _IAF._replace(settings={"update": "gated"}),
    "spline_coupling": Flow(
        layer="SplineCouplingFlow",
        bijectors=("SplineCoupling", "LULinear", "Permutation"),
        paper=_NSF,
        log_det="closed form",
        inverse="closed form",
        cost="O(D W + D^2)",
        kind="coupling",
        sizes=_SPLINE,
    ),
    "spline_autoregressive": Flow(
        layer="SplineAutoregressiveFlow",
        bijectors=("SplineAutoregressive", "LULinear", "Permutation"),
        paper=_NSF,
        log_det="closed form",
        inverse=_PASSES,
        cost=_PASSES_COST,
        kind="autoregressive",
        sizes=_SPLINE,
    ),
    "naf": Flow(
        layer="NAFFlow",
        bijectors=("NeuralAutoregressive", "Permutation"),
        paper="Huang et al. 2018",
        log_det="closed form",
        inverse="at most D passes, each with root searches, in one loop",
        cost=_PASSES_COST,
        kind="autoregressive",
        sizes={**_NETWORK, "num_sigmoids": "num_sigmoids"},
    ),
}


def _of_kind(kind: str) -> tuple[str, ...]:
    return tuple(name for name, flow in FLOWS.items() if flow.kind == kind)


COUPLINGS = _of_kind("coupling")
AUTOREGRESSIVE = _of_kind("autoregressive")


def add_settings(group: config_dict.ConfigDict) -> None:
    """Adds to a group of a config what the flows of the catalogue need.

    Args:
      group: which also says the flow, and how many steps it has.
    """
    # Hidden layers of the network of each step: nice_*, real_nvp, iaf, ...
    group.conditioner_hidden_units = (64, 64)
    group.conditioner_activation = "gelu"  # in these layers
    group.num_orthogonal_columns = 8  # M of sylvester_orthogonal
    # H of each step of sylvester_householder.
    group.num_householder_reflections = 4
    group.num_bins = 8  # of each spline
    group.tail_bound = 3.0  # beyond which splines are the identity
    group.num_sigmoids = 8  # H of each step of naf
