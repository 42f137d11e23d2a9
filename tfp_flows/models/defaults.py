"""What a latent variable model takes where "auto" is said, by measurement.

README's section on defaults has the table, of `trainers/sweeps/defaults.py`.
"""

from tfp_flows import schedules
from tfp_flows.posteriors.flow_posterior import FlowPosterior
from tfp_flows.posteriors.posterior import Posterior

__all__ = ["annealing", "gradient_estimator"]

_PACKAGE = __name__.partition(".")[0]


def annealing(
    posterior: Posterior, num_importance_samples: int
) -> schedules.Annealing:
    """KL annealing over a share of the updates where there is a flow.

    That, and one sample, is what was measured.
    """
    has_flow = isinstance(posterior, FlowPosterior) and posterior.flows
    if has_flow and num_importance_samples == 1:
        return schedules.KLAnnealing()
    return schedules.NoAnnealing()


def gradient_estimator(
    posterior: Posterior, num_importance_samples: int
) -> str:
    """The one of the least variance that has no bias.

    Of a posterior whose class says nothing of its `log_prob_gradient`, and of
    flow layers of other packages, whose inverse may be missing or have no
    gradient, it is the plain gradient.
    """
    if (
        not isinstance(posterior, FlowPosterior)
        or not posterior.has_log_prob_gradient
        or not all(_is_ours(flow) for flow in posterior.flows)
    ):
        return "reparameterized"
    if num_importance_samples > 1:
        return "doubly_reparameterized"
    return "sticking_the_landing"


def _is_ours(layer: object) -> bool:
    return type(layer).__module__.partition(".")[0] == _PACKAGE
