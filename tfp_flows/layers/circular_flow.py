"""Circular convolutions with gates between them, owning their weights."""

import keras
import tensorflow as tf

from tfp_flows.bijectors import CircularConvolution
from tfp_flows.layers.gated_convolution_flow import GatedConvolutionFlow

__all__ = ["CircularFlow"]


@keras.saving.register_keras_serializable(package="tfp_flows")
class CircularFlow(GatedConvolutionFlow):
    """K circular convolutions, each with a scale, a shift and a gate S-Log.

    See `GatedConvolutionFlow`, and `CircularConvolution` and `SLog` of
    `tfp_flows.bijectors`. The arguments are those of `FlowLayer`.

    References:
      [1]: Mahdi Karami, Dale Schuurmans, Jascha Sohl-Dickstein, Laurent Dinh,
           Daniel Duckworth. Invertible Convolutional Flow. NeurIPS 2019.
    """

    def _convolution(self, spectrum: tf.Tensor) -> CircularConvolution:
        return CircularConvolution(spectrum)
