"""The bound that a latent variable model is trained on, and its gradient."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from tfp_flows.losses import bounds
from tfp_flows.losses.gradient_estimators import (
    GradientScale,
    doubly_reparameterized_factor,
)
from tfp_flows.types import TensorLike

__all__ = ["LogTerms", "annealed_bound"]


class LogTerms(NamedTuple):
    """Log densities of S samples for B examples, each `[S, B]`, in nats.

    `log_posterior` is minus the samples' log weight: log q(z|x), or with
    auxiliary variables u `log q(z, u|x) - log r(u|z, x)`. `diagnostics` are
    what the posterior says of the samples, by name.
    """

    log_likelihood: tf.Tensor
    log_prior: tf.Tensor
    log_posterior: tf.Tensor
    diagnostics: Mapping[str, tf.Tensor] = {}

    @property
    def log_weights(self) -> tf.Tensor:
        """`log p(x, z) - log_posterior`, not annealed."""
        return bounds.annealed_log_weights(*self[:3])


class _Posterior(Protocol):
    """The part of `posteriors.Posterior` that a bound needs."""

    def sample_with_diagnostics(
        self, standard_normal: tf.Tensor, parameters: Any, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]: ...


def annealed_bound(
    posterior: _Posterior,
    parameters: Any,
    log_joint: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    standard_normal: tf.Tensor,
    weights: Sequence[TensorLike] = (1.0, 1.0, 1.0),
    estimator: str = "reparameterized",
) -> tuple[tf.Tensor, LogTerms]:
    """The bound of each example, with the gradient of an estimator.

        bound = log(1/S sum_s exp(a log p(x|z_s) + b log p(z_s) - c log q(z_s)))

    with `(a, b, c) = weights`. The reparameterized estimator differentiates it
    as it stands. The other two leave out the part of the gradient that
    passes through the parameters of `log q(z)` directly, whose expectation
    is zero for S = 1 (sticking the landing, Roeder et al. 2017) and is a
    second path through z for S > 1 (doubly reparameterized, Tucker et al.
    2019): then the gradient into `z_s` is multiplied by `1 - c (1 - w_s)`, w_s
    the normalized weight, which makes `w_s**2` of `w_s` for c = 1.

    Args:
      posterior: q, a `posteriors.Posterior`. With auxiliary variables,
        `log q(z)` is minus its log weight.
      parameters: of q, for the B examples.
      log_joint: from z, `[S, B, D]`, to `log p(x|z)` and `log p(z)`, each
        `[S, B]`; the posterior is handed their sum.
      standard_normal: `[S, B, noise_size]`.
      weights: of the three terms, a schedule's `AnnealingWeights`. Default:
        ones.
      estimator: one of `GRADIENT_ESTIMATORS`.

    Returns:
      The annealed bound `[B]`, and the terms without annealing.
    """
    scale = GradientScale()
    is_doubly = estimator == "doubly_reparameterized"
    z, log_weight, diagnostics = posterior.sample_with_diagnostics(
        standard_normal,
        parameters,
        log_joint=lambda z: tf.add(*log_joint(z)),
        score=estimator == "reparameterized",
        through=scale if is_doubly else tf.identity,
    )
    terms = LogTerms(*log_joint(z), -log_weight, diagnostics)
    log_weights = bounds.annealed_log_weights(*terms[:3], annealing=weights)
    if is_doubly:
        scale.set(doubly_reparameterized_factor(log_weights, weights[2]))
    return bounds.importance_weighted_bound(log_weights), terms
