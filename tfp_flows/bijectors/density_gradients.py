"""The gradient of a density on its way through bijectors.

With `y = f(x)`, `J = dy/dx` and x of density q,

    d log q(y) / dy = J'^(-1) (d log q(x) / dx - d log|det J| / dx).

Carried along with the samples it gives `d log q(z) / dz` at fixed parameters,
which `losses.gradient_estimators` needs. An autoregressive map is not inverted
for it: it takes one solution of a triangular system. The other bijectors are
differentiated through their inverses, at a point whose x is known. Each is
passed through once more than for the samples alone, which costs most for MAF,
whose forward direction is the sequential one.

References:
1. L. Vaitl, L. Winkler, L. Richter and P. Kessel. Fast and unified path
   gradient estimators for normalizing flows. ICLR 2024.
   https://arxiv.org/abs/2403.15881
"""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import Chain
from tfp_flows.bijectors._through_inverse import push_through_inverse
from tfp_flows.bijectors.one_pass import inverse_and_log_det

__all__ = ["push"]

tfb = tfp.bijectors


def push(
    bijector: tfb.Bijector, x: tf.Tensor, gradient: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(y, gradient of log q(y) in y)` with `y = bijector(x)`.

    No derivative passes through either.

    Args:
      bijector: a bijector of vectors, whose batch shape those of `x` covers.
      x: `[..., D]`.
      gradient: of `log q(x)` in x, alike.
    """
    x, gradient = tf.stop_gradient(x), tf.stop_gradient(gradient)
    if hasattr(bijector, "_push_density_gradient"):
        y, gradient = bijector._push_density_gradient(
            x, gradient, bijector._constrained_parameters()
        )
    elif isinstance(bijector, Chain):
        # It applies the last of its list first.
        y = x
        for part in reversed(bijector.bijectors):
            y, gradient = push(part, y, gradient)
    else:
        y, gradient = push_through_inverse(
            bijector.forward,
            lambda y: inverse_and_log_det(bijector, y),
            x,
            gradient,
            name=type(bijector).__name__,
        )
    return tf.stop_gradient(y), tf.stop_gradient(gradient)
