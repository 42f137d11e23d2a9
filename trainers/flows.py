"""The flows by the names that configs and the command line give them."""

from collections.abc import Callable
from typing import Any, TypeAlias

from ml_collections import config_dict

from tfp_flows import layers

__all__ = ["COUPLINGS", "FLOWS", "make_flow"]

Settings: TypeAlias = config_dict.ConfigDict
_Make: TypeAlias = Callable[..., layers.FlowLayer]


def _steps(make: Callable[..., layers.FlowLayer]) -> _Make:
    """A flow that needs nothing but its length."""

    def build(settings: Settings, **shared: Any) -> layers.FlowLayer:
        return make(settings.num_flow_steps, **shared)

    return build


def _couplings(
    make: Callable[..., layers.FlowLayer], mixing: str = "permutation"
) -> _Make:
    def build(settings: Settings, **shared: Any) -> layers.FlowLayer:
        return make(
            settings.num_flow_steps,
            hidden_units=tuple(settings.conditioner_hidden_units),
            activation=settings.conditioner_activation,
            mixing=mixing,
            **shared,
        )

    return build


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
    "nice_ortho": _couplings(layers.NICEFlow, "orthogonal"),
    "nice_perm": _couplings(layers.NICEFlow),
    "real_nvp": _couplings(layers.RealNVPFlow),
    "circular": _steps(layers.CircularFlow),
    "symmetric": _steps(layers.SymmetricFlow),
    "data_adaptive": _couplings(layers.DataAdaptiveFlow),
    "conf": _couplings(layers.CONFFlow),
    "householder": _steps(layers.HouseholderFlow),
    "sylvester_orthogonal": _sylvester("orthogonal"),
    "sylvester_householder": _sylvester("householder"),
    "sylvester_triangular": _sylvester("triangular"),
}

# Those that split the latents, so that they need two of them.
COUPLINGS = ("nice_ortho", "nice_perm", "real_nvp", "data_adaptive", "conf")


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
