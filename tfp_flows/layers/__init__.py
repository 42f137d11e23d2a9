"""Keras 3 layers that own weights and return bijectors or tensors."""

from tfp_flows._backend import require_tensorflow_backend

require_tensorflow_backend("tfp_flows.layers")

from tfp_flows.layers.autoregressive_flow import (  # noqa: E402
    AutoregressiveFlow,
)
from tfp_flows.layers.circular_flow import CircularFlow  # noqa: E402
from tfp_flows.layers.conditioned_flow import (  # noqa: E402
    ConditionedFlow,
)
from tfp_flows.layers.conf_flow import CONFFlow  # noqa: E402
from tfp_flows.layers.convolutional_decoder import (  # noqa: E402
    ConvolutionalDecoder,
)
from tfp_flows.layers.convolutional_encoder import (  # noqa: E402
    ConvolutionalEncoder,
)
from tfp_flows.layers.coupling_flow import CouplingFlow  # noqa: E402
from tfp_flows.layers.data_adaptive_flow import (  # noqa: E402
    DataAdaptiveFlow,
)
from tfp_flows.layers.flow_layer import FlowLayer  # noqa: E402
from tfp_flows.layers.householder_flow import HouseholderFlow  # noqa: E402
from tfp_flows.layers.iaf_flow import IAFFlow  # noqa: E402
from tfp_flows.layers.made import MADE  # noqa: E402
from tfp_flows.layers.maf_flow import MAFFlow  # noqa: E402
from tfp_flows.layers.maxout import Maxout  # noqa: E402
from tfp_flows.layers.mlp import MLP  # noqa: E402
from tfp_flows.layers.naf_flow import NAFFlow  # noqa: E402
from tfp_flows.layers.nice_flow import NICEFlow  # noqa: E402
from tfp_flows.layers.parameter_head import ParameterSpec  # noqa: E402
from tfp_flows.layers.planar_flow import PlanarFlow  # noqa: E402
from tfp_flows.layers.radial_flow import RadialFlow  # noqa: E402
from tfp_flows.layers.real_nvp_flow import RealNVPFlow  # noqa: E402
from tfp_flows.layers.residual_mlp import ResidualMLP  # noqa: E402
from tfp_flows.layers.spline_autoregressive_flow import (  # noqa: E402
    SplineAutoregressiveFlow,
)
from tfp_flows.layers.spline_coupling_flow import (  # noqa: E402
    SplineCouplingFlow,
)
from tfp_flows.layers.standardization import Standardization  # noqa: E402
from tfp_flows.layers.stochastic_layer import StochasticLayer  # noqa: E402
from tfp_flows.layers.sylvester_flow import SylvesterFlow  # noqa: E402
from tfp_flows.layers.symmetric_flow import SymmetricFlow  # noqa: E402

__all__ = [
    "AutoregressiveFlow",
    "ConditionedFlow",
    "CONFFlow",
    "CircularFlow",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "CouplingFlow",
    "DataAdaptiveFlow",
    "FlowLayer",
    "HouseholderFlow",
    "IAFFlow",
    "MADE",
    "MAFFlow",
    "MLP",
    "Maxout",
    "NAFFlow",
    "NICEFlow",
    "ParameterSpec",
    "PlanarFlow",
    "RadialFlow",
    "RealNVPFlow",
    "ResidualMLP",
    "SplineAutoregressiveFlow",
    "SplineCouplingFlow",
    "Standardization",
    "StochasticLayer",
    "SylvesterFlow",
    "SymmetricFlow",
]
