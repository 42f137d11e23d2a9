"""Normalizing flows as `tfp.bijectors`, without any Keras."""

from tfp_flows.bijectors import parameters, transformers
from tfp_flows.bijectors._pickling import make_picklable
from tfp_flows.bijectors.additive_coupling import AdditiveCoupling
from tfp_flows.bijectors.affine_coupling import AffineCoupling
from tfp_flows.bijectors.autoregressive_bijector import (
    AutoregressiveBijector,
)
from tfp_flows.bijectors.circular_convolution import (
    CircularConvolution,
    CircularConvolution2D,
)
from tfp_flows.bijectors.circular_spline import CircularSpline
from tfp_flows.bijectors.conditioners import (
    Conditioner,
    FunctionConditioner,
    MLPConditioner,
)
from tfp_flows.bijectors.convolution_coupling import ConvolutionCoupling
from tfp_flows.bijectors.data_adaptive_convolution import (
    DataAdaptiveConvolution,
)
from tfp_flows.bijectors.declared_tensors import DeclaredTensors
from tfp_flows.bijectors.deep_sigmoidal import DeepSigmoidal
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.householder import Householder
from tfp_flows.bijectors.inverse_autoregressive import InverseAutoregressive
from tfp_flows.bijectors.lu_linear import LULinear
from tfp_flows.bijectors.made_conditioner import MADEConditioner
from tfp_flows.bijectors.masked_autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.masked_coupling import MaskedCoupling
from tfp_flows.bijectors.neural_autoregressive import NeuralAutoregressive
from tfp_flows.bijectors.one_pass import (
    forward_and_log_det,
    inverse_and_log_det,
)
from tfp_flows.bijectors.orthogonal import Orthogonal
from tfp_flows.bijectors.permutation import Permutation
from tfp_flows.bijectors.planar import Planar
from tfp_flows.bijectors.radial import Radial
from tfp_flows.bijectors.rational_quadratic_spline import (
    RationalQuadraticSpline,
)
from tfp_flows.bijectors.s_log import SLog
from tfp_flows.bijectors.scan import Scan
from tfp_flows.bijectors.spline_autoregressive import SplineAutoregressive
from tfp_flows.bijectors.spline_coupling import SplineCoupling
from tfp_flows.bijectors.split_coupling import SplitCoupling
from tfp_flows.bijectors.sylvester_householder import SylvesterHouseholder
from tfp_flows.bijectors.sylvester_orthogonal import SylvesterOrthogonal
from tfp_flows.bijectors.sylvester_triangular import SylvesterTriangular
from tfp_flows.bijectors.symmetric_convolution import SymmetricConvolution

make_picklable()
del make_picklable

__all__ = [
    "AdditiveCoupling",
    "AffineCoupling",
    "AutoregressiveBijector",
    "CircularConvolution",
    "CircularConvolution2D",
    "CircularSpline",
    "Conditioner",
    "ConvolutionCoupling",
    "DataAdaptiveConvolution",
    "DeclaredTensors",
    "DeepSigmoidal",
    "FlowBijector",
    "FunctionConditioner",
    "Householder",
    "InverseAutoregressive",
    "LULinear",
    "MADEConditioner",
    "MLPConditioner",
    "MaskedAutoregressive",
    "MaskedCoupling",
    "NeuralAutoregressive",
    "Orthogonal",
    "Permutation",
    "Planar",
    "Radial",
    "RationalQuadraticSpline",
    "SLog",
    "Scan",
    "SplineAutoregressive",
    "SplineCoupling",
    "SplitCoupling",
    "SylvesterHouseholder",
    "SylvesterOrthogonal",
    "SylvesterTriangular",
    "SymmetricConvolution",
    "forward_and_log_det",
    "inverse_and_log_det",
    "parameters",
    "transformers",
]
