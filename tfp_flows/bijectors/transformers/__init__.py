"""What a coupling or an autoregressive map does to the coordinates it moves.

A *transformer* is an invertible map of N coordinates, given P numbers for each
of them, `theta` `[..., P, N]`; a *conditioner* computes theta of the other
coordinates, of what the transformer has it read of them (`features`); the
bijector (`MaskedCoupling`, `SplitCoupling`, `AutoregressiveBijector`) says
which are the others.
"""

from tfp_flows.bijectors.transformers.circular import CircularRationalQuadratic
from tfp_flows.bijectors.transformers.convolutions import (
    Convolution,
    GatedConvolution,
)
from tfp_flows.bijectors.transformers.elementwise import (
    Affine,
    DeepSigmoidal,
    Gated,
    RationalQuadratic,
    Shift,
)
from tfp_flows.bijectors.transformers.transformer import Inverse, Transformer

__all__ = [
    "Affine",
    "CircularRationalQuadratic",
    "Convolution",
    "DeepSigmoidal",
    "Gated",
    "GatedConvolution",
    "Inverse",
    "RationalQuadratic",
    "Shift",
    "Transformer",
]
