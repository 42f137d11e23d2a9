"""Estimators of the gradient of a bound in the posterior's parameters.

With `z = T(noise; phi)` the gradient of `log w = log p(x, z) - log q(z; phi)`
has a part that flows through z, and the score `-d log q(z; phi) / d phi` at
fixed z.

* `reparameterized`: both, by plain automatic differentiation.
* `sticking_the_landing` (Roeder et al. 2017): without the score, whose mean is
  zero for the ELBO. The variance is zero where q is the exact posterior. In an
  importance-weighted bound of S > 1 samples the score has another mean, so
  there it is biased.
* `doubly_reparameterized` (Tucker et al. 2019): the score of an
  importance-weighted bound is turned into a part through z by a second
  reparameterization. It is unbiased for every S, and with S = 1 it is
  `sticking_the_landing`.

The last two evaluate log q with `stop_parameters(...)` at z, or take its
gradient in z from elsewhere (`without_score`). The third also sends z through a
`GradientScale`, set to `doubly_reparameterized_factor(...)` once the weights
are known:

    scale = GradientScale()
    z = scale(z)
    log_weights = ...                  # [S, B], log q with stopped parameters
    scale.set(doubly_reparameterized_factor(log_weights))
    loss = -importance_weighted_bound(log_weights)

The decoder's gradients are the plain ones under all three.

References:
1. G. Roeder, Y. Wu and D. Duvenaud. Sticking the Landing. NeurIPS 2017.
   https://arxiv.org/abs/1703.09194
2. G. Tucker, D. Lawson, S. Gu and C. Maddison. Doubly Reparameterized Gradient
   Estimators for Monte Carlo Objectives. ICLR 2019.
   https://arxiv.org/abs/1810.04152
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.losses.bounds import normalized_weights
from tfp_flows.types import TensorLike

__all__ = [
    "GRADIENT_ESTIMATORS",
    "GradientScale",
    "check_gradient_estimator",
    "doubly_reparameterized_factor",
    "stop_parameters",
    "without_score",
]

_NO_GRADIENT_THROUGH_VECTORIZED_MAP = (
    "`GradientScale` (gradient_estimator='doubly_reparameterized') has no "
    "gradient through `tf.vectorized_map`, which drops custom gradients: take "
    "the gradient inside of the mapped function, or use `tf.map_fn`."
)

GRADIENT_ESTIMATORS = (
    "reparameterized",
    "sticking_the_landing",
    "doubly_reparameterized",
)


def check_gradient_estimator(
    gradient_estimator: str, num_importance_samples: int = 1
) -> None:
    """Raises ValueError unless it is a known one, unbiased for so many."""
    if gradient_estimator not in GRADIENT_ESTIMATORS:
        raise ValueError(
            "`gradient_estimator` must be one of "
            f"{', '.join(GRADIENT_ESTIMATORS)}; got {gradient_estimator!r}."
        )
    if gradient_estimator == "sticking_the_landing" and (
        num_importance_samples > 1
    ):
        raise ValueError(
            "`gradient_estimator` must not be 'sticking_the_landing' with "
            "`num_importance_samples` > 1, where it is biased; "
            "'doubly_reparameterized' is its unbiased generalisation. Got "
            f"num_importance_samples={num_importance_samples}."
        )


def stop_parameters(parameters: Any) -> Any:
    """The same nest of tensors, through which no gradient flows."""
    return tf.nest.map_structure(tf.stop_gradient, parameters)


def doubly_reparameterized_factor(
    log_weights: tf.Tensor, posterior_weight: TensorLike = 1.0
) -> tf.Tensor:
    """The factor of the gradient into z, for an importance-weighted loss.

    `1 - c * (1 - w)`, with w the normalized weight of the sample. The
    derivative of the loss brings a factor w of its own, so c = 1 gives the
    square of w of Tucker et al. (2019); the other c follow in the same way
    from an annealed log weight with `c * log q` in it.

    Args:
      log_weights: `[S, B]`, annealed if the loss is.
      posterior_weight: c, the `AnnealingWeights.posterior` of a schedule.

    Returns:
      A tensor `[S, B]` without gradient.
    """
    weights = tf.stop_gradient(normalized_weights(log_weights))
    return 1.0 - posterior_weight * (1.0 - weights)


def without_score(z: Any, log_prob: tf.Tensor, gradient: Any) -> tf.Tensor:
    """`log q(z; phi)` in value, whose derivative is that through z alone.

    First derivatives are right; none of them has derivatives of its own. It
    holds no `tf.custom_gradient`, so `tf.vectorized_map` leaves it as it is.

    Args:
      z: `[..., D]`, or a nest of such where q is a joint density.
      log_prob: `log q(z; phi)`, `[...]`.
      gradient: `d log q(z; phi) / dz`, of the structure of z.
    """
    tf.nest.assert_same_structure(z, gradient)
    log_prob = tf.stop_gradient(log_prob)
    for point, of_point in zip(
        tf.nest.flatten(z), tf.nest.flatten(gradient), strict=True
    ):
        zero = point - tf.stop_gradient(point)
        log_prob += tf.reduce_sum(zero * tf.stop_gradient(of_point), axis=-1)
    return log_prob


class GradientScale:
    """The identity, which multiplies gradients by a factor named later.

    Calling it returns its argument; `set` then gives the factor, before the
    gradient is taken. Make a new one for every forward pass.

    Works in `tf.map_fn`, `tf.while_loop` and `tf.cond`. `tf.vectorized_map`
    and all that is built on it drop the gradients that functions define: there
    the gradient must be taken inside of the mapped function; one that is taken
    through it raises a LookupError.
    """

    def __init__(self) -> None:
        self._factor: tf.Tensor | None = None

    def __call__(self, z: tf.Tensor) -> tf.Tensor:
        """Returns `z`; its gradient will be multiplied by the factor.

        Args:
          z: `[S, B, ...]`.
        """

        @tf.custom_gradient
        def identity(
            z: tf.Tensor,
        ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            # What is differentiated if `vectorized_map` drops `_gradient`.
            unscaled = tf.raw_ops.PreventGradient(
                input=z, message=_NO_GRADIENT_THROUGH_VECTORIZED_MAP
            )
            return unscaled, self._gradient

        return identity(z)

    def set(self, factor: tf.Tensor) -> None:
        """Sets the factor, whose axes are the leading axes of z."""
        self._factor = tf.convert_to_tensor(factor)

    def _gradient(self, upstream: tf.Tensor) -> tf.Tensor:
        if self._factor is None:
            raise RuntimeError(
                "`GradientScale.set` must be called before the gradient is "
                "taken."
            )
        factor = tf.cast(self._factor, upstream.dtype)
        for _ in range(upstream.shape.rank - factor.shape.rank):
            factor = factor[..., tf.newaxis]
        return upstream * factor
