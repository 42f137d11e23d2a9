"""Likelihoods p(x|z): from a decoder's output to a distribution of the data."""

from tfp_flows.likelihoods.discretized_logistic import DiscretizedLogistic
from tfp_flows.likelihoods.likelihood import Likelihood, get, names
from tfp_flows.likelihoods.logit_normal import ClippedLogitNormal

__all__ = [
    "ClippedLogitNormal",
    "DiscretizedLogistic",
    "Likelihood",
    "get",
    "names",
]
