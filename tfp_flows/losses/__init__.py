"""Bounds on log p(x), estimators of their gradients, and likelihood losses."""

from tfp_flows._backend import require_tensorflow_backend

require_tensorflow_backend("tfp_flows.losses")

from tfp_flows.losses.annealed_bound import (  # noqa: E402
    LogTerms,
    annealed_bound,
)
from tfp_flows.losses.bounds import (  # noqa: E402
    annealed_log_weights,
    elbo,
    free_energy,
    importance_weighted_bound,
    log_mean_exp,
    normalized_weights,
)
from tfp_flows.losses.gradient_estimators import (  # noqa: E402
    GRADIENT_ESTIMATORS,
    GradientScale,
    check_gradient_estimator,
    doubly_reparameterized_factor,
    stop_parameters,
)
from tfp_flows.losses.likelihood_losses import (  # noqa: E402
    NegativeLogLikelihood,
)
from tfp_flows.replicas import (  # noqa: E402
    GlobalBatch,
    global_batch,
    global_sum,
    mean_over_global_batch,
)

__all__ = [
    "GRADIENT_ESTIMATORS",
    "GlobalBatch",
    "GradientScale",
    "LogTerms",
    "NegativeLogLikelihood",
    "annealed_bound",
    "annealed_log_weights",
    "check_gradient_estimator",
    "doubly_reparameterized_factor",
    "elbo",
    "free_energy",
    "global_batch",
    "global_sum",
    "importance_weighted_bound",
    "log_mean_exp",
    "mean_over_global_batch",
    "normalized_weights",
    "stop_parameters",
]
