"""Posteriors of other people's models, in coordinates on all of R^D."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import sklearn.datasets
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["TARGETS", "PosteriorTarget", "get_target"]

tfd = tfp.distributions


class PosteriorTarget(NamedTuple):
    """An unnormalised density, and the variables by which it is judged.

    Attributes:
      event_size: D.
      log_prob: maps coordinates `[..., D]` to `[...]`, in nats.
      variables: maps coordinates `[..., D]` to variables `[..., V]`.
      names: of the V variables.
      mean: of the variables, `[V]`; None: sampled by
        `trainers.posteriors.sample`.
      sd: likewise.
      source: where the model and its true moments come from.
    """

    event_size: int
    log_prob: Callable[[tf.Tensor], tf.Tensor]
    variables: Callable[[tf.Tensor], tf.Tensor]
    names: tuple[str, ...]
    mean: np.ndarray | None
    sd: np.ndarray | None
    source: str


def _eight_schools() -> PosteriorTarget:
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
        # The constant log(10) of avg_effect is left out.
        log_det = num_schools * values["log_stddev"]
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
        mean=moments(truth.ground_truth_mean),
        sd=moments(truth.ground_truth_standard_deviation),
        source="inference_gym.targets.EightSchools, its ground truth",
    )


def _brownian_motion() -> PosteriorTarget:
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
        mean=mean,
        sd=np.asarray(truth.ground_truth_standard_deviation),
        source=(
            "inference_gym.targets.BrownianMotionMissingMiddleObservations, "
            "its ground truth"
        ),
    )


def _breast_cancer() -> PosteriorTarget:
    """`w_j ~ N(0, 1)`, `y ~ Bernoulli(logits = w_0 + x w)`, x standardised."""
    data = sklearn.datasets.load_breast_cancer()
    x = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    x = tf.constant(np.c_[np.ones(len(x)), x], tf.float32)
    y = tf.constant(data.target, tf.float32)

    def log_prob(w: tf.Tensor) -> tf.Tensor:
        logits = tf.linalg.matmul(w, x, transpose_b=True)
        loss = tf.nn.sigmoid_cross_entropy_with_logits(
            tf.broadcast_to(y, tf.shape(logits)), logits
        )
        prior = tfd.Normal(0.0, 1.0).log_prob(w)
        return tf.reduce_sum(prior, axis=-1) - tf.reduce_sum(loss, axis=-1)

    def of_any_rank(w: tf.Tensor) -> tf.Tensor:
        if w.shape.rank == 1:
            return log_prob(w[tf.newaxis])[0]
        return log_prob(w)

    return PosteriorTarget(
        event_size=x.shape[1],
        log_prob=of_any_rank,
        variables=tf.identity,
        names=("intercept", *map(str, data.feature_names)),
        mean=None,
        sd=None,
        source=(
            "logistic regression on scikit-learn's breast-cancer data, "
            "standardised, weights N(0, 1) a priori"
        ),
    )


TARGETS: dict[str, Callable[[], PosteriorTarget]] = {
    "eight_schools": _eight_schools,
    "brownian_motion": _brownian_motion,
    "breast_cancer": _breast_cancer,
}


def get_target(name: str) -> PosteriorTarget:
    """The target of a name in `TARGETS`.

    Raises:
      ValueError: an unknown name.
    """
    if name not in TARGETS:
        raise ValueError(
            f"`target` must be one of {', '.join(TARGETS)}; got {name!r}."
        )
    return TARGETS[name]()


def _gym() -> Any:
    from inference_gym import targets

    return targets
