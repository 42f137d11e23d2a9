"""Annealed Langevin dynamics, a Hamiltonian posterior without persistence."""

from typing import Any

import keras

from tfp_flows.posteriors.hamiltonian_posterior import HamiltonianPosterior
from tfp_flows.posteriors.posterior import Posterior

__all__ = ["LangevinPosterior"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class LangevinPosterior(HamiltonianPosterior):
    """Annealed Langevin dynamics: one leapfrog step, then a new momentum.

    See `HamiltonianPosterior`, of which it is `persistence=0.0` and
    `num_leapfrog_steps=1`; the arguments are the others of that class.
    """

    def __init__(
        self, base: Posterior, num_bridges: int, **kwargs: Any
    ) -> None:
        fixed: dict[str, Any] = {"persistence": 0.0, "num_leapfrog_steps": 1}
        for name, value in fixed.items():
            if kwargs.pop(name, value) != value:
                raise ValueError(
                    f"`{name}` must be left to `LangevinPosterior`, where it "
                    f"is {value}; `HamiltonianPosterior` takes others."
                )
        super().__init__(base, num_bridges, **fixed, **kwargs)
