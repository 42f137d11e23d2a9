"""Keras 3 layers that are distributions: posteriors, and trainable priors."""

from tfp_flows._backend import require_tensorflow_backend

require_tensorflow_backend("tfp_flows.posteriors")

from tfp_flows.posteriors.flow_posterior import FlowPosterior  # noqa: E402

__all__ = ["FlowPosterior"]
