"""Keras models with flow posteriors."""

from tfp_flows._backend import require_tensorflow_backend

require_tensorflow_backend("tfp_flows.models")

from tfp_flows.models.bernoulli_made import BernoulliMADE  # noqa: E402
from tfp_flows.models.dlgm import DLGM  # noqa: E402
from tfp_flows.models.flow_density import FlowDensity  # noqa: E402
from tfp_flows.models.importance_sampling import (  # noqa: E402
    LogMarginalLikelihood,
)
from tfp_flows.models.log_joint_model import LogJointModel  # noqa: E402

__all__ = [
    "BernoulliMADE",
    "DLGM",
    "FlowDensity",
    "LogJointModel",
    "LogMarginalLikelihood",
]
