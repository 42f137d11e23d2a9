"""Hamiltonian posteriors that several modules test."""

import numpy as np

from tfp_flows import layers
from tfp_flows.posteriors import FlowPosterior, HamiltonianPosterior
from tfp_flows.targets import get

D = 2
U1 = get("u1")
LOG_JOINT = U1.unnormalized_log_prob
HVAE = {"persistence": 1.0, "betas": "ones"}
SETTINGS = {
    "langevin": {"persistence": 0.0},
    "uncorrected": {},
    "long": {"num_leapfrog_steps": 3, "persistence": 0.5},
    "quadratic": {**HVAE, "tempering": "quadratic"},
    "free": {**HVAE, "tempering": "free", "num_leapfrog_steps": 3},
}
BASES = {
    "diagonal": lambda dtype: FlowPosterior(D, dtype=dtype),
    "full": lambda dtype: FlowPosterior(D, base="full", dtype=dtype),
    "planar": lambda dtype: FlowPosterior(
        D, layers.PlanarFlow(1, seed=0, dtype=dtype), dtype=dtype
    ),
}


def posterior(settings="uncorrected", base="diagonal", dtype="float64", **own):
    """One with weights off their start, for no context."""
    settings = {
        "num_bridges": 3,
        "initial_step_size": 0.25,
        "largest_step_size": 0.5,
        **SETTINGS[settings],
        **own,
    }
    made = HamiltonianPosterior(BASES[base](dtype), **settings)
    made.build()
    rng = np.random.default_rng(2)
    for weight in made.trainable_weights:
        weight.assign_add(0.2 * rng.normal(size=weight.shape))
    return made


def noise(posterior, num_samples=20, rows=1):
    return posterior.noise(rows, num_samples, seed=0, step=0, purpose="test")
