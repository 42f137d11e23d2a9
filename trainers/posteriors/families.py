"""Families of surrogate posteriors on R^D."""

from collections.abc import Callable, Sequence

import keras
import tensorflow_probability as tfp

from tfp_flows import layers, posteriors, vi
from trainers.posteriors.targets import PosteriorTarget

__all__ = ["FAMILIES", "WITH_DENSITY", "make_surrogate"]

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


def _cif(size: int, scale: float, seed: int) -> posteriors.Posterior:
    return posteriors.CIFPosterior(
        size,
        layers.IAFFlow(2, _UNITS, seed=seed),
        auxiliary_size=2,
        base="full",
        initial_scale=scale,
        identity_start=True,
    )


def _hamiltonian(size: int, scale: float, seed: int) -> posteriors.Posterior:
    del seed  # nothing is random at the start
    return posteriors.HamiltonianPosterior(
        posteriors.FlowPosterior(size, base="full", initial_scale=scale),
        num_bridges=8,
    )


_WITH_AUXILIARIES = {"cif": _cif, "hamiltonian": _hamiltonian}
WITH_DENSITY = tuple(_FLOWS)
FAMILIES = (*WITH_DENSITY, *_WITH_AUXILIARIES)


def make_surrogate(
    family: str,
    target: PosteriorTarget,
    initial_scale: float = 0.3,
    seed: int = 0,
) -> tfd.Distribution | vi.AuxiliarySurrogate:
    """A surrogate of the target, see `tfp_flows.vi`.

    Args:
      family: one of `FAMILIES`; `mean_field` and `full_rank` are Gaussians,
        `cif` and `hamiltonian` have auxiliary variables, and the others are
        flows in front of a full-rank Gaussian.
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
    if family in _WITH_AUXILIARIES:
        keras.utils.set_random_seed(seed)
        return vi.build_auxiliary_surrogate_posterior(
            target.log_prob,
            _WITH_AUXILIARIES[family](target.event_size, initial_scale, seed),
            event_shape=[target.event_size],
        )
    return vi.build_flow_surrogate_posterior(
        target.log_prob,
        _FLOWS[family](seed),
        base="diagonal" if family == "mean_field" else "full",
        event_shape=[target.event_size],
        initial_scale=initial_scale,
    )
