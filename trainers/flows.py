"""The flows by the names that configs and the command line give them."""

from collections.abc import Callable
from typing import Any, TypeAlias

from ml_collections import config_dict

from tfp_flows import layers

__all__ = [
    "AUTOREGRESSIVE",
    "COUPLINGS",
    "FAST_INVERSES",
    "FLOWS",
    "in_words",
    "make_flow",
    "make_prior_flow",
]

Settings: TypeAlias = config_dict.ConfigDict
_Make: TypeAlias = Callable[..., layers.FlowLayer]


def _steps(make: Callable[..., layers.FlowLayer]) -> _Make:
    """A flow that needs nothing but its length."""

    def build(settings: Settings, **shared: Any) -> layers.FlowLayer:
        return make(settings.num_flow_steps, **shared)

    return build


def _conditioned(
    make: Callable[..., layers.ConditionedFlow], **own: Any
) -> _Make:
    """A flow of steps with a network each."""

    def build(settings: Settings, **shared: Any) -> layers.FlowLayer:
        return make(
            settings.num_flow_steps,
            hidden_units=tuple(settings.conditioner_hidden_units),
            activation=settings.conditioner_activation,
            **own,
            **shared,
        )

    return build


def _spline(make: Callable[..., layers.ConditionedFlow]) -> _Make:
    def build(settings: Settings, **shared: Any) -> layers.FlowLayer:
        own = {
            "num_bins": settings.num_bins,
            "tail_bound": settings.tail_bound,
        }
        return _conditioned(make, **own)(settings, **shared)

    return build


def _naf(settings: Settings, **shared: Any) -> layers.FlowLayer:
    own = {"num_sigmoids": settings.num_sigmoids}
    return _conditioned(layers.NAFFlow, **own)(settings, **shared)


def _sylvester(kind: str) -> _Make:
    def build(settings: Settings, **shared: Any) -> layers.FlowLayer:
        return layers.SylvesterFlow(
            settings.num_flow_steps,
            kind=kind,
            num_orthogonal_columns=settings.num_orthogonal_columns,
            num_householder_reflections=settings.num_householder_reflections,
            **shared,
        )

    return build


FLOWS: dict[str, _Make] = {
    "planar": _steps(layers.PlanarFlow),
    "radial": _steps(layers.RadialFlow),
    "nice_ortho": _conditioned(layers.NICEFlow, mixing="orthogonal"),
    "nice_perm": _conditioned(layers.NICEFlow, mixing="permutation"),
    "real_nvp": _conditioned(layers.RealNVPFlow),
    "circular": _steps(layers.CircularFlow),
    "symmetric": _steps(layers.SymmetricFlow),
    "data_adaptive": _conditioned(layers.DataAdaptiveFlow),
    "conf": _conditioned(layers.CONFFlow),
    "householder": _steps(layers.HouseholderFlow),
    "sylvester_orthogonal": _sylvester("orthogonal"),
    "sylvester_householder": _sylvester("householder"),
    "sylvester_triangular": _sylvester("triangular"),
    "maf": _conditioned(layers.MAFFlow),
    "iaf": _conditioned(layers.IAFFlow),
    "iaf_gated": _conditioned(layers.IAFFlow, update="gated"),
    "spline_coupling": _spline(layers.SplineCouplingFlow),
    "spline_autoregressive": _spline(layers.SplineAutoregressiveFlow),
    "naf": _naf,
}

# Those that split the latents, so that they need two of them.
COUPLINGS = (
    "nice_ortho",
    "nice_perm",
    "real_nvp",
    "data_adaptive",
    "conf",
    "spline_coupling",
)
# Those whose networks have a unit for each latent at least.
AUTOREGRESSIVE = ("maf", "iaf", "iaf_gated", "spline_autoregressive", "naf")
# Those whose inverse is computed at once; of all others it is the forward map.
FAST_INVERSES = ("maf",)


def make_flow(settings: Settings, **shared: Any) -> layers.FlowLayer | None:
    """The flow layer that a config's group `posterior` describes.

    Args:
      settings: `flow`, a name in `FLOWS` or "none", `num_flow_steps`, and the
        sizes that the flow needs.
      **shared: arguments of `FlowLayer`, such as `seed`.
    """
    if settings.flow == "none":
        return None
    return FLOWS[settings.flow](settings, **shared)


def make_prior_flow(
    settings: Settings, **shared: Any
) -> layers.FlowLayer | None:
    """The same for a group `prior`: the density of a point is the fast one.

    Args:
      settings: as in `make_flow`.
      **shared: arguments of `FlowLayer`.
    """
    inverted = settings.flow not in FAST_INVERSES
    return make_flow(settings, inverted=inverted, **shared)


def in_words(flow: str, num_flow_steps: int) -> str:
    """What a reader is told of a flow: "16 planar steps", or "no flow"."""
    return "no flow" if flow == "none" else f"{num_flow_steps} {flow} steps"
