"""What a latent variable model takes where "auto" is said, by measurement.

README's section on defaults has the table, of `trainers/sweeps/defaults.py`.
"""

from tfp_flows import schedules
from tfp_flows.posteriors.posterior import Posterior

__all__ = ["annealing", "gradient_estimator"]


def annealing(
    posterior: Posterior, num_importance_samples: int
) -> schedules.Annealing:
    """KL annealing over a share of the updates where there is a flow.

    That, and one sample, is what was measured.
    """
    if posterior.has_flow and num_importance_samples == 1:
        return schedules.KLAnnealing()
    return schedules.NoAnnealing()


def gradient_estimator(
    posterior: Posterior, num_importance_samples: int
) -> str:
    """The one of the least variance that has no bias.

    Of a posterior that cannot leave out the score it is the plain gradient.
    """
    if not posterior.can_leave_out_score:
        return "reparameterized"
    if num_importance_samples > 1:
        return "doubly_reparameterized"
    return "sticking_the_landing"
