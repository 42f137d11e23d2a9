"""Flow layers, from what configs say of them."""

from typing import Any

from ml_collections import config_dict

from configs.flows import FLOWS
from tfp_flows import layers

__all__ = ["in_words", "make_flow", "make_prior_flow"]


def make_flow(
    settings: config_dict.ConfigDict, **shared: Any
) -> layers.FlowLayer | None:
    """The flow layer that a config's group `posterior` describes.

    Args:
      settings: `flow`, a name in `configs.flows.FLOWS` or "none",
        `num_flow_steps`, the sizes that the flow needs, and `mixing`, if it is
        not the layer's default.
      **shared: arguments of `FlowLayer`, such as `seed`.
    """
    if settings.flow == "none":
        return None
    flow = FLOWS[settings.flow]
    sizes = {name: getattr(settings, key) for name, key in flow.sizes.items()}
    if settings.get("mixing") is not None:
        sizes["mixing"] = settings.mixing
    make = getattr(layers, flow.layer)
    return make(settings.num_flow_steps, **flow.settings, **sizes, **shared)


def make_prior_flow(
    settings: config_dict.ConfigDict, **shared: Any
) -> layers.FlowLayer | None:
    """The same for a group `prior`: the density of a point is the fast one.

    Args:
      settings: as in `make_flow`.
      **shared: arguments of `FlowLayer`.
    """
    if settings.flow == "none":
        return None
    inverted = not FLOWS[settings.flow].fast_inverse
    return make_flow(settings, inverted=inverted, **shared)


def in_words(flow: str, num_flow_steps: int) -> str:
    """What a reader is told of a flow: "16 planar steps", or "no flow"."""
    return "no flow" if flow == "none" else f"{num_flow_steps} {flow} steps"
