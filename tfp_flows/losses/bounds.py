"""Lower bounds on log p(x) from posterior samples, per example and in nats.

The terms have the shape `[S, B]`: S samples of each of B examples. With z drawn
from q(z|x),

    log_likelihood = log p(x|z),  log_prior = log p(z),
    log_posterior = log q(z|x),
    log_weights = log_likelihood + log_prior - log_posterior.

S is reduced within each example; examples are never pooled.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.math.stable import log_mean_exp
from tfp_flows.types import TensorLike

__all__ = [
    "annealed_log_weights",
    "elbo",
    "free_energy",
    "importance_weighted_bound",
    "log_mean_exp",
    "normalized_weights",
]

_NO_ANNEALING = (1.0, 1.0, 1.0)


def annealed_log_weights(
    log_likelihood: tf.Tensor,
    log_prior: tf.Tensor,
    log_posterior: tf.Tensor,
    annealing: Sequence[TensorLike] = _NO_ANNEALING,
) -> tf.Tensor:
    """`a * log_likelihood + b * log_prior - c * log_posterior`.

    Args:
      log_likelihood: log p(x|z), `[S, B]`.
      log_prior: log p(z), `[S, B]`.
      log_posterior: log q(z|x), `[S, B]`.
      annealing: `(a, b, c)`, the `AnnealingWeights` of a schedule. Default:
        ones, the log importance weights.
    """
    a, b, c = annealing
    return a * log_likelihood + b * log_prior - c * log_posterior


def elbo(
    log_likelihood: tf.Tensor, log_prior: tf.Tensor, log_posterior: tf.Tensor
) -> tf.Tensor:
    """The evidence lower bound: the mean of the log weights over the samples.

    Args:
      log_likelihood: log p(x|z), `[S, B]`.
      log_prior: log p(z), `[S, B]`.
      log_posterior: log q(z|x), `[S, B]`.

    Returns:
      A tensor `[B]`.
    """
    return tf.reduce_mean(
        annealed_log_weights(log_likelihood, log_prior, log_posterior), axis=0
    )


def importance_weighted_bound(log_weights: tf.Tensor) -> tf.Tensor:
    """The bound of Burda et al. (2016): log of the mean weight of an example.

    With S = 1 it is the ELBO; it does not fall as S grows, and tends to
    log p(x).

    Args:
      log_weights: `[S, B]`.

    Returns:
      A tensor `[B]`.
    """
    return log_mean_exp(log_weights, axis=0)


def normalized_weights(log_weights: tf.Tensor) -> tf.Tensor:
    """The weights of the samples of each example, which add up to 1, `[S, B]`.

    Args:
      log_weights: `[S, B]`.
    """
    return tf.nn.softmax(log_weights, axis=0)


def free_energy(
    log_likelihood: tf.Tensor,
    log_prior: tf.Tensor,
    log_posterior: tf.Tensor,
    annealing: Sequence[TensorLike] = _NO_ANNEALING,
    importance_weighted: bool = False,
) -> tf.Tensor:
    """The quantity to minimise: minus the (annealed) bound of each example.

    Args:
      log_likelihood: log p(x|z), `[S, B]`.
      log_prior: log p(z), `[S, B]`.
      log_posterior: log q(z|x), `[S, B]`.
      annealing: as in `annealed_log_weights`. Default: none.
      importance_weighted: whether the S samples make one importance-weighted
        bound; by default they make a mean of S bounds.

    Returns:
      A tensor `[B]`.
    """
    log_weights = annealed_log_weights(
        log_likelihood, log_prior, log_posterior, annealing
    )
    if importance_weighted:
        return -importance_weighted_bound(log_weights)
    return -tf.reduce_mean(log_weights, axis=0)
