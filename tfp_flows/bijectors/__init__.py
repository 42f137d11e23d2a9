"""Normalizing flows as `tfp.bijectors`, without any Keras."""

from tfp_flows.bijectors import parameters
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.planar import Planar
from tfp_flows.bijectors.radial import Radial
from tfp_flows.bijectors.scan import Scan

__all__ = ["FlowBijector", "Planar", "Radial", "Scan", "parameters"]
