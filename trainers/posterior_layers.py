"""Posterior layers, from what a config's group `posterior` says of them."""

from typing import Any

from ml_collections import config_dict

from configs.flows import FLOWS
from tfp_flows import layers, posteriors
from trainers import flows

__all__ = ["in_words", "make_posterior"]

# Flows and posteriors of one run draw their initial weights from other seeds.
_SEED_STRIDE = 1_000


def make_posterior(
    settings: config_dict.ConfigDict,
    latent_size: int,
    *,
    seed: int | None = None,
    context_scale: float | None = None,
) -> posteriors.Posterior:
    """The posterior that a config's group describes, not built.

    Args:
      settings: `name`, one of `configs.posteriors.POSTERIORS`, what that needs,
        and what `flows.make_flow` does.
      latent_size: D.
      seed: of the flow's initial weights. Default: None, random ones.
      context_scale: of the flow.
    """
    gaussian: dict[str, Any] = {
        "base": settings.base,
        "initial_scale": settings.initial_scale,
    }
    shared: dict[str, Any] = {"seed": seed, "context_scale": context_scale}
    if settings.name == "cif":
        return posteriors.CIFPosterior(
            latent_size,
            flow=_single_steps(settings, **shared),
            auxiliary_size=settings.auxiliary_size,
            order=settings.order,
            hidden_units=tuple(settings.auxiliary_hidden_units),
            activation=settings.auxiliary_activation,
            **gaussian,
        )
    base = posteriors.FlowPosterior(
        latent_size, flow=flows.make_flow(settings, **shared), **gaussian
    )
    if settings.name == "flow":
        return base
    annealed: dict[str, Any] = {
        "num_bridges": settings.num_bridges,
        "initial_step_size": settings.initial_step_size,
        "largest_step_size": settings.largest_step_size,
    }
    if settings.name == "langevin":
        return posteriors.LangevinPosterior(base, **annealed)
    return posteriors.HamiltonianPosterior(
        base,
        num_leapfrog_steps=settings.num_leapfrog_steps,
        persistence=settings.persistence,
        **annealed,
    )


def _single_steps(
    settings: config_dict.ConfigDict,
    seed: int | None,
    context_scale: float | None,
) -> list[layers.FlowLayer]:
    """The steps of a flow as layers of one each, between which u may enter."""
    length = settings.num_flow_steps
    if (
        context_scale is None
        and length
        and FLOWS[settings.flow].kind == "direct"
    ):
        context_scale = 1.0 / length  # the default of one layer of them all
    made = (
        flows.make_flow(
            settings,
            num_flow_steps=1,
            seed=None if seed is None else seed + _SEED_STRIDE * i,
            context_scale=context_scale,
        )
        for i in range(length)
    )
    return [layer for layer in made if layer is not None]


def in_words(settings: config_dict.ConfigDict) -> str:
    """What a reader is told of a posterior: "16 planar steps, CIF"."""
    flow = flows.in_words(settings.flow, settings.num_flow_steps)
    return (
        flow
        + {
            "flow": "",
            "cif": f", indexed by u of size {settings.auxiliary_size}",
            "hamiltonian": f", {settings.num_bridges} Hamiltonian bridges",
            "langevin": f", {settings.num_bridges} Langevin bridges",
        }[settings.name]
    )
