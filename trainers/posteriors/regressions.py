"""Bayesian logistic regressions with known evidence."""

import sklearn.datasets
import tensorflow as tf

from trainers.posteriors.targets import PosteriorTarget
from trainers.sources import logistic_regression
from trainers.sources.logistic_regression import Evidence, LogisticRegression

__all__ = ["breast_cancer", "german_credit", "ionosphere", "sonar"]


def breast_cancer() -> PosteriorTarget:
    """scikit-learn's data, standardised, weights N(0, 1) a priori."""
    data = sklearn.datasets.load_breast_cancer()
    regression = LogisticRegression(
        "breast_cancer",
        logistic_regression.standardised(data.data),
        data.target,
        Evidence(-55.2205, 0.0022),
        tuple(map(str, data.feature_names)),
    )
    return _target(
        regression,
        "scikit-learn's breast-cancer data, standardised, weights N(0, 1) a "
        "priori",
    )


def sonar(data_dir: str | None = None) -> PosteriorTarget:
    """UCI's, standardised, weights N(0, 1) a priori."""
    return _of_table("sonar", data_dir)


def ionosphere(data_dir: str | None = None) -> PosteriorTarget:
    """UCI's, standardised, weights N(0, 1) a priori; a column is constant."""
    return _of_table("ionosphere", data_dir)


def german_credit(data_dir: str | None = None) -> PosteriorTarget:
    """UCI's, scaled but not centred, under a flat prior, as published."""
    names, x, labels = logistic_regression.read(
        "german_credit_numeric", data_dir, labels=(1, 2)
    )
    regression = LogisticRegression(
        "german_credit",
        x / x.std(axis=0),
        labels == 1,
        Evidence(-504.484, 0.002),
        names,
        has_prior=False,
    )
    return _target(
        regression,
        "UCI's German credit data, divided by the standard deviations, flat "
        "prior",
    )


def _of_table(name: str, data_dir: str | None) -> PosteriorTarget:
    return _target(
        logistic_regression.load(name, data_dir),
        f"UCI's {name}, standardised, weights N(0, 1) a priori",
    )


def _target(regression: LogisticRegression, data: str) -> PosteriorTarget:
    return PosteriorTarget(
        event_size=regression.event_shape[0],
        log_prob=regression.unnormalized_log_prob,
        variables=tf.identity,
        names=("intercept", *regression.names),
        source=f"logistic regression on {data}",
        log_normalizer=regression.log_normalizer,
        log_normalizer_standard_error=regression.evidence.standard_error,
    )
