"""The kinds of posteriors by their names in configs, and their settings."""

from ml_collections import config_dict

__all__ = ["POSTERIORS", "add_settings"]

# Of `tfp_flows.posteriors`: FlowPosterior, CIFPosterior, HamiltonianPosterior
# and LangevinPosterior. The last two start from what the flow makes.
POSTERIORS = ("flow", "cif", "hamiltonian", "langevin")


def add_settings(group: config_dict.ConfigDict, name: str) -> None:
    """Adds to a config's group `posterior` its kind, and what kinds need.

    Args:
      group: with the settings of the flow and of its base.
      name: one of `POSTERIORS`.
    """
    group.name = name
    # Of cif: an affine map indexed by u beside each step of the flow.
    group.auxiliary_size = 1  # coordinates of each u
    group.order = "before"  # where the affine map stands: before|after a step
    group.auxiliary_hidden_units = (10, 10)  # of all networks of u
    group.auxiliary_activation = "tanh"  # of their hidden layers
    # Of hamiltonian and langevin: annealed from q_0 to the target.
    group.num_bridges = 8  # K, distributions on the way, the target included
    group.num_leapfrog_steps = 1  # at each of them, of hamiltonian
    group.persistence = 0.9  # of the momentum from one to the next, likewise
    group.initial_step_size = 0.05  # of a leapfrog step, learned
    group.largest_step_size = 0.5  # which no learned one exceeds
