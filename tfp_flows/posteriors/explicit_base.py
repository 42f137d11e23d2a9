"""The base of annealed dynamics: its density is asked for at any point."""

import warnings
from typing import Any

from tfp_flows.layers import FlowLayer
from tfp_flows.layers.autoregressive_flow import AutoregressiveFlow
from tfp_flows.posteriors.flow_posterior import FlowPosterior
from tfp_flows.posteriors.posterior import Posterior

__all__ = ["check", "is_diagonal", "warn_of_sequential_inverse"]


def check(base: Any) -> None:
    """Raises unless it is a posterior with a density on R^D."""
    if not (isinstance(base, Posterior) and base.has_density):
        raise TypeError(
            "`base` must be a posterior whose density is known at any point, "
            f"as that of a `FlowPosterior` is; got {base!r}."
        )
    if getattr(base, "circular", ()):
        raise ValueError(
            "`base` must be over R^D, as the dynamics are; got one that is "
            f"circular in the coordinates {list(base.circular)}."
        )


def is_diagonal(base: Posterior) -> bool:
    """Whether it is a Gaussian of diagonal covariance."""
    return (
        isinstance(base, FlowPosterior)
        and not base.flows
        and base.base in ("diagonal", "log_diagonal", "fixed")
    )


def warn_of_sequential_inverse(base: Posterior, num_evaluations: int) -> None:
    """Says what the density costs, if its flows are inverted by coordinate.

    Args:
      base: the posterior.
      num_evaluations: of its density for each sample.
    """
    names = [type(flow).__name__ for flow in _sequential(base)]
    if names:
        warnings.warn(
            f"`base` has flows ({', '.join(names)}) that are inverted one "
            f"coordinate after the other: up to {base.latent_size} passes "
            f"through each of their steps, {num_evaluations} times per sample. "
            "With inverted=True, or as a planar, coupling or Sylvester flow, "
            "a base takes one; betas='ones' needs none.",
            UserWarning,
            stacklevel=3,
        )


def _sequential(base: Posterior) -> list[FlowLayer]:
    """Its flows that are inverted one coordinate after the other."""
    flows = getattr(base, "flows", ())
    inverted = getattr(base, "inverted", [False] * len(flows))
    return [
        flow
        for flow, is_inverted in zip(flows, inverted, strict=True)
        if isinstance(flow, AutoregressiveFlow)
        and (flow.fast_direction == "forward") != is_inverted
    ]
