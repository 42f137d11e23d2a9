"""Keras 3 layers that own weights and return bijectors or tensors."""

from tfp_flows._backend import require_tensorflow_backend

require_tensorflow_backend("tfp_flows.layers")

from tfp_flows.layers.flow_layer import FlowLayer  # noqa: E402
from tfp_flows.layers.planar_flow import PlanarFlow  # noqa: E402
from tfp_flows.layers.radial_flow import RadialFlow  # noqa: E402

__all__ = ["FlowLayer", "PlanarFlow", "RadialFlow"]
