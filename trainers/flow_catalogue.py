"""What is known of each flow before anything is measured."""

from typing import NamedTuple

__all__ = ["CATALOGUE", "Entry"]


class Entry(NamedTuple):
    """One flow: its classes, its paper and what it costs.

    `cost` is that of one step for one point, in D coordinates, with W hidden
    units in a network's layer, H reflections and M columns.
    """

    bijectors: tuple[str, ...]  # those of `tfp_flows.bijectors` in one step
    layer: str  # in `tfp_flows.layers`
    paper: str
    log_det: str
    inverse: str
    cost: str
    rolled: bool = True  # whether the layer makes one `Scan` of its steps


_NICE = "Dinh et al. 2014; mixing: Rezende & Mohamed 2015"
_KARAMI = "Karami et al. 2019"
_SYLVESTER = "van den Berg et al. 2018"
_SEARCHES = (
    "back-substitution, {} root searches on a scalar, implicit gradients"
)
_NSF = "Durkan et al. 2019"
_IAF = "Kingma et al. 2016"
_PASSES = "at most D passes in one loop, implicit gradients"
_NETWORK = "O(D W + W^2), at most D times that for the inverse"

# In the order, and with the names, of `trainers.flows.FLOWS`.
CATALOGUE: dict[str, Entry] = {
    "planar": Entry(
        bijectors=("Planar",),
        layer="PlanarFlow",
        paper="Rezende & Mohamed 2015",
        log_det="closed form",
        inverse="root search on one scalar, implicit gradients",
        cost="O(D)",
    ),
    "radial": Entry(
        bijectors=("Radial",),
        layer="RadialFlow",
        paper="Rezende & Mohamed 2015",
        log_det="closed form",
        inverse="closed form",
        cost="O(D)",
    ),
    "nice_ortho": Entry(
        bijectors=("AdditiveCoupling", "Orthogonal"),
        layer="NICEFlow",
        paper=_NICE,
        log_det="0",
        inverse="closed form",
        cost="O(D^2 + D W)",
    ),
    "nice_perm": Entry(
        bijectors=("AdditiveCoupling", "Permutation"),
        layer="NICEFlow",
        paper=_NICE,
        log_det="0",
        inverse="closed form",
        cost="O(D W)",
    ),
    "real_nvp": Entry(
        bijectors=("AffineCoupling", "Permutation"),
        layer="RealNVPFlow",
        paper="Dinh et al. 2016",
        log_det="closed form",
        inverse="closed form",
        cost="O(D W)",
    ),
    "circular": Entry(
        bijectors=("CircularConvolution", "SLog"),
        layer="CircularFlow",
        paper=_KARAMI,
        log_det="closed form, in the frequency domain",
        inverse="closed form",
        cost="O(D log D), FFT",
    ),
    "symmetric": Entry(
        bijectors=("SymmetricConvolution", "SLog"),
        layer="SymmetricFlow",
        paper=_KARAMI,
        log_det="closed form, in the frequency domain",
        inverse="closed form",
        cost="O(D log D), DCT-II",
    ),
    "data_adaptive": Entry(
        bijectors=("DataAdaptiveConvolution", "Permutation"),
        layer="DataAdaptiveFlow",
        paper=_KARAMI,
        log_det="closed form, in the frequency domain",
        inverse="closed form",
        cost="O(D log D + D W), FFT",
    ),
    "conf": Entry(
        bijectors=("ConvolutionCoupling", "Permutation"),
        layer="CONFFlow",
        paper=_KARAMI,
        log_det="closed form, in the frequency domain",
        inverse="closed form",
        cost="O(D log D + D W), FFT",
    ),
    "householder": Entry(
        bijectors=("Householder",),
        layer="HouseholderFlow",
        paper="Tomczak & Welling 2016",
        log_det="0",
        inverse="closed form, the transpose",
        cost="O(D H)",
    ),
    "sylvester_orthogonal": Entry(
        bijectors=("SylvesterOrthogonal",),
        layer="SylvesterFlow",
        paper=_SYLVESTER,
        log_det="closed form, on M scalars",
        inverse=_SEARCHES.format("M"),
        cost="O(D M)",
    ),
    "sylvester_householder": Entry(
        bijectors=("SylvesterHouseholder",),
        layer="SylvesterFlow",
        paper=_SYLVESTER,
        log_det="closed form, on D scalars",
        inverse=_SEARCHES.format("D"),
        cost="O(D^2 + D H)",
    ),
    "sylvester_triangular": Entry(
        bijectors=("SylvesterTriangular",),
        layer="SylvesterFlow",
        paper=_SYLVESTER,
        log_det="closed form, on D scalars",
        inverse=_SEARCHES.format("D"),
        cost="O(D^2)",
    ),
    "maf": Entry(
        bijectors=("MaskedAutoregressive", "Permutation"),
        layer="MAFFlow",
        paper="Papamakarios et al. 2017",
        log_det="closed form",
        inverse="closed form; forward: at most D passes in one loop",
        cost="O(D W + W^2), at most D times that forward",
    ),
    "iaf": Entry(
        bijectors=("InverseAutoregressive", "Permutation"),
        layer="IAFFlow",
        paper=_IAF,
        log_det="closed form",
        inverse=_PASSES,
        cost=_NETWORK,
    ),
    "iaf_gated": Entry(
        bijectors=("InverseAutoregressive", "Permutation"),
        layer="IAFFlow",
        paper=_IAF,
        log_det="closed form",
        inverse=_PASSES,
        cost=_NETWORK,
    ),
    "spline_coupling": Entry(
        bijectors=("SplineCoupling", "LULinear", "Permutation"),
        layer="SplineCouplingFlow",
        paper=_NSF,
        log_det="closed form",
        inverse="closed form",
        cost="O(D W + D^2)",
    ),
    "spline_autoregressive": Entry(
        bijectors=("SplineAutoregressive", "LULinear", "Permutation"),
        layer="SplineAutoregressiveFlow",
        paper=_NSF,
        log_det="closed form",
        inverse=_PASSES,
        cost=_NETWORK,
    ),
    "naf": Entry(
        bijectors=("NeuralAutoregressive", "Permutation"),
        layer="NAFFlow",
        paper="Huang et al. 2018",
        log_det="closed form",
        inverse="at most D passes, each with root searches, in one loop",
        cost=_NETWORK,
    ),
}
