"""Hierarchical models: schools, random walks, seeds and a funnel."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from trainers.posteriors import quadrature
from trainers.posteriors.targets import PosteriorTarget

__all__ = [
    "brownian_motion",
    "brownian_unknown_scales",
    "eight_schools",
    "funnel",
    "seeds",
]

tfb, tfd = tfp.bijectors, tfp.distributions

# Of 21 plates: seeds that germinated, of how many, of which kind, in which
# extract. M. Crowder, Beta-Binomial Anova for Proportions, 1978, table 3.
_GERMINATED = np.array(
    [10, 23, 23, 26, 17, 5, 53, 55, 32, 46, 10]
    + [8, 10, 8, 23, 0, 3, 22, 15, 32, 3]
)
_SEEDS = np.array(
    [39, 62, 81, 51, 39, 6, 74, 72, 51, 79, 13]
    + [16, 30, 28, 45, 4, 12, 41, 30, 51, 7]
)
_KIND = np.repeat([0, 1], [11, 10])
_EXTRACT = np.repeat([0, 1, 0, 1], [5, 6, 5, 5])


def eight_schools() -> PosteriorTarget:
    """Non-centred: `z = (a, s, e_1, ..., e_8)`, standard normal a priori.

    avg_effect = 10 a, log_stddev = 5 + s, and
    school_effects = avg_effect + exp(log_stddev) e.
    """
    model = _gym().EightSchools()
    num_schools = 8

    def parts(z: tf.Tensor) -> dict[str, tf.Tensor]:
        avg_effect, log_stddev = 10.0 * z[..., 0], 5.0 + z[..., 1]
        effects = tf.exp(log_stddev)[..., tf.newaxis] * z[..., 2:]
        return {
            "avg_effect": avg_effect,
            "log_stddev": log_stddev,
            "school_effects": avg_effect[..., tf.newaxis] + effects,
        }

    def log_prob(z: tf.Tensor) -> tf.Tensor:
        values = parts(z)
        log_det = math.log(10.0) + num_schools * values["log_stddev"]
        return model.unnormalized_log_prob(values) + log_det

    def variables(z: tf.Tensor) -> tf.Tensor:
        values = parts(z)
        both = [values["avg_effect"], values["log_stddev"]]
        return tf.concat(
            [tf.stack(both, axis=-1), values["school_effects"]], axis=-1
        )

    def moments(found: dict[str, Any]) -> np.ndarray:
        return np.array(
            [found["avg_effect"], found["log_stddev"], *found["school_effects"]]
        )

    truth = model.sample_transformations["identity"]
    return PosteriorTarget(
        event_size=2 + num_schools,
        log_prob=log_prob,
        variables=variables,
        names=(
            "avg_effect",
            "log_stddev",
            *(f"school_effects[{i}]" for i in range(num_schools)),
        ),
        source="inference_gym.targets.EightSchools, its ground truth",
        log_normalizer=-36.130816,
        mean=moments(truth.ground_truth_mean),
        sd=moments(truth.ground_truth_standard_deviation),
    )


def brownian_motion() -> PosteriorTarget:
    """A random walk of known scales, 10 of 30 places not observed."""
    model = _gym().BrownianMotionMissingMiddleObservations(
        use_markov_chain=True
    )
    truth = model.sample_transformations["identity"]
    mean = np.asarray(truth.ground_truth_mean)
    return PosteriorTarget(
        event_size=len(mean),
        log_prob=model.unnormalized_log_prob,
        variables=tf.identity,
        names=tuple(f"locs[{i}]" for i in range(len(mean))),
        source=(
            "inference_gym.targets.BrownianMotionMissingMiddleObservations, "
            "its ground truth"
        ),
        log_normalizer=5.613043,
        log_normalizer_standard_error=1e-5,  # rounding of float32
        mean=mean,
        sd=np.asarray(truth.ground_truth_standard_deviation),
    )


def brownian_unknown_scales() -> PosteriorTarget:
    """The same with both scales unknown: `z = (log scales, places)`."""
    from inference_gym.internal import data as gym_data

    model = _gym().BrownianMotionUnknownScalesMissingMiddleObservations(
        use_markov_chain=True
    )
    names = ("innovation_noise_scale", "observation_noise_scale")

    def log_prob(z: tf.Tensor) -> tf.Tensor:
        scales = tf.exp(z[..., :2])
        values = type(model.event_shape)(
            scales[..., 0], scales[..., 1], z[..., 2:]
        )
        log_det = tf.reduce_sum(z[..., :2], axis=-1)
        return model.unnormalized_log_prob(values) + log_det

    def variables(z: tf.Tensor) -> tf.Tensor:
        return tf.concat([tf.exp(z[..., :2]), z[..., 2:]], axis=-1)

    # The gym's own moments are off: its mean observation noise is 0.1011 +-
    # 0.0444, the exact one 0.1127 +- 0.0375.
    observed = gym_data.brownian_motion_missing_middle_observations()
    exact = quadrature.integrate(np.asarray(observed["observed_locs"]))
    num_places = len(exact.mean) - 2
    return PosteriorTarget(
        event_size=len(exact.mean),
        log_prob=log_prob,
        variables=variables,
        names=(*names, *(f"locs[{i}]" for i in range(num_places))),
        source=(
            "inference_gym.targets."
            "BrownianMotionUnknownScalesMissingMiddleObservations, by "
            "quadrature"
        ),
        log_normalizer=exact.log_normalizer,
        mean=exact.mean,
        sd=exact.sd,
    )


def seeds() -> PosteriorTarget:
    """Germination of seeds, with a random effect of each of 21 plates.

        tau ~ Gamma(0.01, 0.01),  a_j ~ N(0, 10^2),  b_i ~ N(0, 1 / tau)
        r_i ~ Binomial(n_i, logits = a_0 + a_1 kind_i + a_2 extract_i
                                     + a_12 kind_i extract_i + b_i)

    `z = (log tau, a, e)` with `b = tau^(-1/2) e`.
    """
    design = tf.constant(
        np.stack([_KIND**0, _KIND, _EXTRACT, _KIND * _EXTRACT]), tf.float32
    )
    germinated = tf.constant(_GERMINATED, tf.float32)
    counts = tf.constant(_SEEDS, tf.float32)

    def plates(z: tf.Tensor) -> tf.Tensor:
        return tf.exp(-0.5 * z[..., :1]) * z[..., 5:]

    def log_prob(z: tf.Tensor) -> tf.Tensor:
        log_tau = z[..., 0]
        tau = tfd.Gamma(0.01, 0.01).log_prob(tf.exp(log_tau)) + log_tau
        logits = tf.reduce_sum(z[..., 1:5, tf.newaxis] * design, axis=-2)
        likelihood = tfd.Binomial(counts, logits=logits + plates(z))
        terms = (
            tfd.Normal(0.0, 10.0).log_prob(z[..., 1:5]),
            tfd.Normal(0.0, 1.0).log_prob(z[..., 5:]),
            likelihood.log_prob(germinated),
        )
        return tau + sum(tf.reduce_sum(term, axis=-1) for term in terms)

    def variables(z: tf.Tensor) -> tf.Tensor:
        return tf.concat([z[..., :5], plates(z)], axis=-1)

    return PosteriorTarget(
        event_size=26,
        log_prob=log_prob,
        variables=variables,
        names=(
            *("log_tau", "a0", "a1", "a2", "a12"),
            *(f"b[{i}]" for i in range(21)),
        ),
        source="seeds of Crowder (1978), the model of BUGS",
        log_normalizer=-73.405,
        log_normalizer_standard_error=0.003,
    )


def funnel() -> PosteriorTarget:
    """Neal's: `v ~ N(0, 3^2)`, `x_i ~ N(0, exp(v))`, i = 1, ..., 9."""
    size, sd = 10, 3.0

    def log_prob(z: tf.Tensor) -> tf.Tensor:
        v, x = z[..., :1], z[..., 1:]
        log_v = tfd.Normal(0.0, sd).log_prob(v[..., 0])
        log_x = tfd.Normal(0.0, tf.exp(0.5 * v)).log_prob(x)
        return log_v + tf.reduce_sum(log_x, axis=-1)

    def sample(num_draws: int, seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        z = generator.standard_normal([num_draws, size])
        v = sd * z[:, :1]
        return np.concatenate([v, np.exp(0.5 * v) * z[:, 1:]], axis=1)

    # Var x = E exp(v) = exp(9 / 2).
    sds = np.r_[sd, np.repeat(np.exp(0.25 * sd**2), size - 1)]
    return PosteriorTarget(
        event_size=size,
        log_prob=log_prob,
        variables=tf.identity,
        names=("v", *(f"x[{i}]" for i in range(size - 1))),
        source="Neal's funnel, exact",
        log_normalizer=0.0,
        mean=np.zeros(size),
        sd=sds,
        sample=sample,
    )


def _gym() -> Any:
    from inference_gym import targets

    return targets
