"""The bound that a DLGM is trained on, and its gradient estimators."""

from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from tfp_flows.losses import bounds, gradient_estimators
from tfp_flows.schedules import AnnealingWeights

if TYPE_CHECKING:
    from tfp_flows.models.dlgm import DLGM

__all__ = [
    "LogTerms",
    "annealed_bound",
    "check_gradient_estimator",
    "log_terms",
]


class LogTerms(NamedTuple):
    """Log densities of S samples for B examples, each `[S, B]`, in nats."""

    log_likelihood: tf.Tensor
    log_prior: tf.Tensor
    log_posterior: tf.Tensor

    @property
    def log_weights(self) -> tf.Tensor:
        """`log p(x, z) - log q(z | x)`, not annealed."""
        return self.log_likelihood + self.log_prior - self.log_posterior


def check_gradient_estimator(estimator: str, num_samples: int) -> None:
    """Raises ValueError unless the estimator is known and fits."""
    gradient_estimators.check_gradient_estimator(estimator)
    if estimator == "sticking_the_landing" and num_samples > 1:
        raise ValueError(
            "`gradient_estimator` must not be 'sticking_the_landing' with "
            "`num_importance_samples` > 1, where it is biased; "
            "'doubly_reparameterized' is its unbiased generalisation. Got "
            f"num_importance_samples={num_samples}."
        )


def log_terms(
    model: "DLGM",
    x: tf.Tensor,
    z: tf.Tensor,
    log_posterior: tf.Tensor,
    training: bool,
) -> LogTerms:
    """The terms of the bound at samples `z` `[S, B, D]`."""
    return LogTerms(
        model.log_likelihood(x, z, training=training),
        model.log_prior(z),
        log_posterior,
    )


def annealed_bound(
    model: "DLGM",
    x: tf.Tensor,
    standard_normal: tf.Tensor,
    weights: AnnealingWeights,
    training: bool,
) -> tuple[tf.Tensor, LogTerms]:
    """The bound of each example, with the gradient of `model`'s estimator.

        bound = log(1/S sum_s exp(a log p(x|z_s) + b log p(z_s) - c log q(z_s)))

    with `(a, b, c) = weights`. The reparameterized estimator differentiates it
    as it stands. The other two leave out the part of the gradient that
    passes through the parameters of `log q(z)` directly, whose expectation
    is zero for S = 1 (sticking the landing, Roeder et al. 2017) and is a
    second path through z for S > 1 (doubly reparameterized, Tucker et al.
    2019): then the gradient into `z_s` is multiplied by `1 - c (1 - w_s)`, w_s
    the normalized weight, which makes `w_s**2` of `w_s` for c = 1.

    Args:
      model: the DLGM.
      x: `[B, *event_shape]`.
      standard_normal: `[S, B, noise_size]`.
      weights: annealing of the three terms.
      training: passed to encoder and decoder; False: no gradient is needed.

    Returns:
      The annealed bound `[B]`, and the terms without annealing.
    """
    parameters = model.encode(x, training=training)
    z, log_posterior = model.posterior.push_forward(standard_normal, parameters)
    scale = None
    # Without a gradient, a second pass through the flow would be for nothing.
    estimator = model.gradient_estimator if training else "reparameterized"
    if estimator != "reparameterized":
        if estimator == "doubly_reparameterized":
            scale = gradient_estimators.GradientScale()
            z = scale(z)
        log_posterior = _without_score(
            model, z, log_posterior, standard_normal, parameters
        )
    terms = log_terms(model, x, z, log_posterior, training)
    log_weights = bounds.annealed_log_weights(*terms, annealing=weights)
    if scale is not None:
        scale.set(
            gradient_estimators.doubly_reparameterized_factor(
                log_weights, weights.posterior
            )
        )
    return bounds.importance_weighted_bound(log_weights), terms


def _without_score(
    model: "DLGM",
    z: tf.Tensor,
    log_posterior: tf.Tensor,
    standard_normal: tf.Tensor,
    parameters: Any,
) -> tf.Tensor:
    """`log q(z)`, in whose gradient the parameters of q are constants."""
    stopped = gradient_estimators.stop_parameters(parameters)
    if not hasattr(model.posterior, "log_prob_gradient"):
        return model.posterior.make_distribution(stopped).log_prob(z)
    gradient = model.posterior.log_prob_gradient(standard_normal, stopped)
    return gradient_estimators.without_score(z, log_posterior, gradient)
