"""Keras 3 layers that own weights and return bijectors or tensors."""

from tfp_flows._backend import require_tensorflow_backend

require_tensorflow_backend("tfp_flows.layers")

from tfp_flows.layers.convolutional_decoder import (  # noqa: E402
    ConvolutionalDecoder,
)
from tfp_flows.layers.convolutional_encoder import (  # noqa: E402
    ConvolutionalEncoder,
)
from tfp_flows.layers.flow_layer import FlowLayer  # noqa: E402
from tfp_flows.layers.maxout import Maxout  # noqa: E402
from tfp_flows.layers.mlp import MLP  # noqa: E402
from tfp_flows.layers.planar_flow import PlanarFlow  # noqa: E402
from tfp_flows.layers.radial_flow import RadialFlow  # noqa: E402
from tfp_flows.layers.stochastic_layer import StochasticLayer  # noqa: E402

__all__ = [
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "FlowLayer",
    "MLP",
    "Maxout",
    "PlanarFlow",
    "RadialFlow",
    "StochasticLayer",
]
