"""Families of surrogate posteriors on R^D."""

from collections.abc import Callable, Sequence

import tensorflow_probability as tfp

from tfp_flows import layers, vi
from trainers.posteriors.targets import PosteriorTarget

__all__ = ["FAMILIES", "make_surrogate"]

tfd = tfp.distributions

_MakeFlows = Callable[[int], Sequence[layers.FlowLayer]]

_UNITS = (64, 64)
_FLOWS: dict[str, _MakeFlows] = {
    "mean_field": lambda seed: [],
    "full_rank": lambda seed: [],
    "planar": lambda seed: [layers.PlanarFlow(16, seed=seed)],
    "sylvester": lambda seed: [
        layers.SylvesterFlow(4, kind="householder", seed=seed)
    ],
    "iaf": lambda seed: [layers.IAFFlow(2, _UNITS, seed=seed)],
    "spline_coupling": lambda seed: [
        layers.SplineCouplingFlow(4, _UNITS, seed=seed)
    ],
    "spline": lambda seed: [
        layers.SplineAutoregressiveFlow(2, _UNITS, seed=seed)
    ],
}
FAMILIES = tuple(_FLOWS)


def make_surrogate(
    family: str,
    target: PosteriorTarget,
    initial_scale: float = 0.3,
    seed: int = 0,
) -> tfd.Distribution:
    """A surrogate of the target, see `vi.build_flow_surrogate_posterior`.

    Args:
      family: one of `FAMILIES`; `mean_field` and `full_rank` are Gaussians, the
        others flows in front of a full-rank one.
      target: of which coordinates.
      initial_scale: standard deviation of each coordinate at the start.
      seed: of the flow's initial weights.

    Raises:
      ValueError: an unknown family.
    """
    if family not in FAMILIES:
        raise ValueError(
            f"`family` must be one of {', '.join(FAMILIES)}; got {family!r}."
        )
    return vi.build_flow_surrogate_posterior(
        target.log_prob,
        _FLOWS[family](seed),
        base="diagonal" if family == "mean_field" else "full",
        event_shape=[target.event_size],
        initial_scale=initial_scale,
    )
