"""Symmetric convolutions with gates between them, owning their weights."""

import keras
import tensorflow as tf

from tfp_flows.bijectors import SymmetricConvolution
from tfp_flows.layers.gated_convolution_flow import GatedConvolutionFlow

__all__ = ["SymmetricFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class SymmetricFlow(GatedConvolutionFlow):
    """K symmetric convolutions, each with a scale, a shift and a gate S-Log.

    See `GatedConvolutionFlow`, and `SymmetricConvolution` and `SLog` of
    `tfp_flows.bijectors`. The arguments are those of `FlowLayer`.

    References:
      [1]: Mahdi Karami, Dale Schuurmans, Jascha Sohl-Dickstein, Laurent Dinh,
           Daniel Duckworth. Invertible Convolutional Flow. NeurIPS 2019.
    """

    def _convolution(self, spectrum: tf.Tensor) -> SymmetricConvolution:
        return SymmetricConvolution(spectrum)
