"""Keras 3 layers that are distributions: posteriors, and trainable priors."""

from tfp_flows._backend import require_tensorflow_backend

require_tensorflow_backend("tfp_flows.posteriors")

from tfp_flows.posteriors.cif_posterior import CIFPosterior  # noqa: E402
from tfp_flows.posteriors.flow_distribution import (  # noqa: E402
    FlowDistribution,
)
from tfp_flows.posteriors.flow_posterior import FlowPosterior  # noqa: E402
from tfp_flows.posteriors.hamiltonian_posterior import (  # noqa: E402
    HamiltonianPosterior,
)
from tfp_flows.posteriors.langevin_posterior import (  # noqa: E402
    LangevinPosterior,
)
from tfp_flows.posteriors.piecewise_linear import (  # noqa: E402
    has_piecewise_linear_activation,
)
from tfp_flows.posteriors.posterior import Posterior  # noqa: E402

__all__ = [
    "CIFPosterior",
    "FlowDistribution",
    "FlowPosterior",
    "HamiltonianPosterior",
    "LangevinPosterior",
    "Posterior",
    "has_piecewise_linear_activation",
]
