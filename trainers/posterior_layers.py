"""Posterior layers, from what a config's group `posterior` says of them."""

from typing import Any

from ml_collections import config_dict

from tfp_flows import posteriors
from trainers import flows

__all__ = ["in_words", "make_posterior"]


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
    is_shared = settings.get("amortized_flow") is False
    flow = flows.make_flow(
        settings,
        amortized=False if is_shared else None,
        seed=seed,
        context_scale=context_scale,
    )
    if settings.name == "cif":
        assert flow is not None  # see `trainers.checks.check_posterior`
        return posteriors.CIFPosterior(
            latent_size,
            flow=flow,
            auxiliary_size=settings.auxiliary_size,
            order=settings.order,
            hidden_units=tuple(settings.auxiliary_hidden_units),
            activation=settings.auxiliary_activation,
            **gaussian,
        )
    base = posteriors.FlowPosterior(latent_size, flow=flow, **gaussian)
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
