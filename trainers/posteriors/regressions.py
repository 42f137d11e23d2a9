"""Bayesian logistic regressions with known evidence."""

import math

import numpy as np
import sklearn.datasets
import tensorflow as tf

from tfp_flows.math import linear
from trainers.posteriors.targets import PosteriorTarget
from trainers.sources import uci

__all__ = ["breast_cancer", "german_credit", "ionosphere", "sonar"]


def breast_cancer() -> PosteriorTarget:
    """scikit-learn's data, standardised, weights N(0, 1) a priori."""
    data = sklearn.datasets.load_breast_cancer()
    return _target(
        _standardised(data.data),
        data.target,
        tuple(map(str, data.feature_names)),
        source=(
            "logistic regression on scikit-learn's breast-cancer data, "
            "standardised, weights N(0, 1) a priori"
        ),
        evidence=(-55.2205, 0.0022),
    )


def sonar(data_dir: str | None = None) -> PosteriorTarget:
    """UCI's, standardised, weights N(0, 1) a priori."""
    return _of_table("sonar", (-108.378, 0.004), data_dir)


def ionosphere(data_dir: str | None = None) -> PosteriorTarget:
    """UCI's, standardised, weights N(0, 1) a priori; a column is constant."""
    return _of_table("ionosphere", (-111.608, 0.003), data_dir)


def german_credit(data_dir: str | None = None) -> PosteriorTarget:
    """UCI's, scaled but not centred, under a flat prior, as published."""
    names, x, labels = _read("german_credit_numeric", data_dir)
    return _target(
        x / x.std(axis=0),
        labels == 1,
        names,
        source=(
            "logistic regression on UCI's German credit data, divided by the "
            "standard deviations, flat prior"
        ),
        evidence=(-504.484, 0.002),
        has_prior=False,
    )


def _of_table(
    name: str, evidence: tuple[float, float], data_dir: str | None
) -> PosteriorTarget:
    names, x, labels = _read(name, data_dir)
    return _target(
        _standardised(x),
        labels,
        names,
        source=(
            f"logistic regression on UCI's {name}, standardised, weights "
            "N(0, 1) a priori"
        ),
        evidence=evidence,
    )


def _read(
    name: str, data_dir: str | None
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names of the columns, inputs, and labels, which come last."""
    names, rows = uci.read_csv(uci.find(f"{name}.csv", data_dir))
    return tuple(names[:-1]), rows[:, :-1], rows[:, -1]


def _standardised(x: np.ndarray) -> np.ndarray:
    sd = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(sd > 0.0, sd, 1.0)


def _target(
    x: np.ndarray,
    labels: np.ndarray,
    names: tuple[str, ...],
    *,
    source: str,
    evidence: tuple[float, float],
    has_prior: bool = True,
) -> PosteriorTarget:
    """`y ~ Bernoulli(logits = w_0 + x w)`, and w_j ~ N(0, 1) or flat."""
    inputs = tf.constant(np.c_[np.ones(len(x)), x], tf.float32)
    signs = tf.constant(2.0 * np.asarray(labels, np.float32) - 1.0, tf.float32)

    def log_prob(w: tf.Tensor) -> tf.Tensor:
        logits = linear.times(inputs, w)
        found = -tf.reduce_sum(tf.math.softplus(-signs * logits), axis=-1)
        if has_prior:
            prior = -0.5 * (w * w + math.log(2.0 * math.pi))
            found += tf.reduce_sum(prior, axis=-1)
        return found

    return PosteriorTarget(
        event_size=inputs.shape[1],
        log_prob=log_prob,
        variables=tf.identity,
        names=("intercept", *names),
        source=source,
        log_normalizer=evidence[0],
        log_normalizer_standard_error=evidence[1],
    )
