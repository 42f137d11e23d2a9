"""Bayesian logistic regressions whose evidence is known, as targets."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.math import linear
from trainers.runs import errors
from trainers.sources import uci

__all__ = [
    "EVIDENCE",
    "Evidence",
    "LogisticRegression",
    "load",
    "read",
    "standardised",
]


class Evidence(NamedTuple):
    """Log evidence of a regression, in nats, by long runs of others."""

    log_normalizer: float
    standard_error: float


EVIDENCE = {
    "sonar": Evidence(-108.378, 0.004),
    "ionosphere": Evidence(-111.608, 0.003),
}


@dataclasses.dataclass(frozen=True)
class LogisticRegression:
    """`y ~ Bernoulli(logits = w_0 + x w)`, and `w_j ~ N(0, 1)` or flat.

    Attributes:
      name: of the data.
      x: `[N, D - 1]`.
      labels: `[N]`, 0 or 1.
      evidence: of the labels.
      names: of the columns of x.
      has_prior: whether the weights are N(0, 1) a priori, not flat.
    """

    name: str
    x: np.ndarray
    labels: np.ndarray
    evidence: Evidence
    names: tuple[str, ...] = ()
    has_prior: bool = True
    modes: tuple[()] = ()

    @property
    def inputs(self) -> np.ndarray:
        """`[N, D]`, a column of ones and then x."""
        return np.concatenate([np.ones([len(self.x), 1]), self.x], axis=1)

    @property
    def log_normalizer(self) -> float:
        """The log evidence, in nats."""
        return self.evidence.log_normalizer

    @property
    def event_shape(self) -> tf.TensorShape:
        """Shape of w, intercept first."""
        return tf.TensorShape([1 + self.x.shape[1]])

    def unnormalized_log_prob(self, w: tf.Tensor) -> tf.Tensor:
        """`log p(y, w)`, `[..., D]` to `[...]`, with all constants."""
        inputs = tf.constant(self.inputs, w.dtype)
        signs = tf.constant(2.0 * self.labels - 1.0, w.dtype)
        logits = linear.times(inputs, w)
        found = -tf.reduce_sum(tf.math.softplus(-signs * logits), axis=-1)
        if self.has_prior:
            log_prior = -0.5 * (w * w + math.log(2.0 * math.pi))
            found += tf.reduce_sum(log_prior, axis=-1)
        return found


def load(name: str, data_dir: str | None = None) -> LogisticRegression:
    """Reads `uci/<name>.csv`, labels 0 and 1, and standardises its columns.

    Args:
      name: one of `EVIDENCE`.
      data_dir: folder with `uci`, or one beside that. Default: the
        environment's TFDS_DATA_DIR.

    Raises:
      InputError: for an unknown name, and for data that are not there.
    """
    if name not in EVIDENCE:
        raise errors.InputError(
            f"`data.target` must be one of {', '.join(EVIDENCE)}; got {name!r}."
        )
    names, x, labels = read(name, data_dir)
    return LogisticRegression(
        name, standardised(x), labels, EVIDENCE[name], names
    )


def read(
    name: str,
    data_dir: str | None = None,
    labels: tuple[int, int] = (0, 1),
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names of the columns, inputs and labels of `uci/<name>.csv`.

    Args:
      name: of a table with a header and the label in the last column.
      data_dir: as in `load`.
      labels: the two that there are.

    Raises:
      InputError: for data that are not there, or others.
    """
    path = uci.find(f"{name}.csv", data_dir)
    try:
        names, rows = uci.read_csv(path)
        x, found = rows[:, :-1], rows[:, -1]
        if not np.isfinite(x).all() or not np.isin(found, labels).all():
            raise ValueError("inputs that are no numbers, or other labels")
    except (tf.errors.OpError, OSError, ValueError, IndexError) as error:
        raise errors.InputError(
            "`--data_dir` must have numbers and, in the last column, labels "
            f"{labels[0]} and {labels[1]} in {path!r}; got {error}."
        ) from error
    return tuple(names[:-1]), x, found


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns by mean and standard deviation; a constant one becomes 0."""
    sd = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(sd > 0.0, sd, 1.0)
