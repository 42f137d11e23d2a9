"""The base class of stacks of convolutions with gates between them."""

import abc

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import SLog
from tfp_flows.layers.flow_layer import FlowLayer
from tfp_flows.layers.parameter_head import ParameterSpec
from tfp_flows.math.constraints import bounded

__all__ = ["GatedConvolutionFlow"]

tfb = tfp.bijectors

# Gates are straight beyond `a * |v| = exp(3) - 1`, which keeps the inverse of a
# stack well conditioned.
MAX_EXPONENT = 3.0

# Scales of one step lie between exp(-2) and exp(2).
MAX_LOG_SCALE = 2.0


class GatedConvolutionFlow(FlowLayer):
    """K times a scale, a convolution, a shift and the gate S-Log.

        y = S_a(conv_k(exp(s) * x) + t),    S_a(v) = sign(v) log(1 + a |v|) / a

    Without the gates, the K convolutions would be one. Initially the scales
    are 1, the shifts 0, the convolutions random and different from step to
    step, and the gates weak.
    """

    @abc.abstractmethod
    def _convolution(self, spectrum: tf.Tensor) -> tfb.Bijector:
        """The convolutions, from free real numbers `[K, ..., D]`."""

    def _parameter_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        zeros = keras.initializers.Zeros()
        shape = (event_size,)
        return {
            "unconstrained_log_scale": ParameterSpec(shape, zeros, zeros),
            "spectrum": ParameterSpec(
                shape, self._normal(0.5, 0), self._context_kernel(1.0, 1)
            ),
            "shift": ParameterSpec(shape, zeros, self._context_kernel(1.0, 2)),
            "unconstrained_slope": ParameterSpec(
                shape, keras.initializers.Constant(-2.0), zeros
            ),
        }

    def _steps(self, **parameters: tf.Tensor) -> tfb.Bijector:
        log_scale = parameters["unconstrained_log_scale"]
        if isinstance(log_scale, tf.Variable):  # stays one, for TFP to train
            log_scale = tfp.util.DeferredTensor(log_scale, _bounded_log_scale)
        else:
            log_scale = _bounded_log_scale(log_scale)
        # Chain applies the last of its list first.
        return tfb.Chain(
            [
                SLog(parameters["unconstrained_slope"], MAX_EXPONENT),
                tfb.Shift(parameters["shift"]),
                self._convolution(parameters["spectrum"]),
                tfb.Scale(log_scale=log_scale),
            ]
        )


def _bounded_log_scale(x: tf.Tensor) -> tf.Tensor:
    return bounded(x, MAX_LOG_SCALE)
