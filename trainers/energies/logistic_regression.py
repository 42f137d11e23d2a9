"""Bayesian logistic regressions whose evidence is known, as targets."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.math import linear
from trainers.runs import errors
from trainers.sources import uci

__all__ = ["EVIDENCE", "LogisticRegression", "load"]


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
    """`w_j ~ N(0, 1)`, `y ~ Bernoulli(logits = w_0 + x w)`.

    Attributes:
      name: of the data.
      inputs: `[N, D]`, a column of ones and then x, standardised.
      labels: `[N]`, 0 or 1.
      log_normalizer: the log evidence of the labels, in nats.
    """

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    log_normalizer: float
    modes: tuple[()] = ()

    @property
    def event_shape(self) -> tf.TensorShape:
        """Shape of w, intercept first."""
        return tf.TensorShape(self.inputs.shape[1:])

    def unnormalized_log_prob(self, w: tf.Tensor) -> tf.Tensor:
        """`log p(y, w)`, `[..., D]` to `[...]`, with all constants."""
        inputs = tf.constant(self.inputs, w.dtype)
        labels = tf.constant(self.labels, w.dtype)
        logits = linear.times(inputs, w)
        log_likelihood = labels * logits - tf.math.softplus(logits)
        log_prior = -0.5 * (w * w + math.log(2.0 * math.pi))
        return tf.reduce_sum(log_likelihood, axis=-1) + tf.reduce_sum(
            log_prior, axis=-1
        )


def load(name: str, data_dir: str | None = None) -> LogisticRegression:
    """Reads `uci/<name>.csv`, with a header and the label in the last column.

    Columns are standardised (by the standard deviation of all rows); a constant
    one becomes 0.

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
    path = uci.find(f"{name}.csv", data_dir)
    try:
        _, rows = uci.read_csv(path)
        x, labels = rows[:, :-1], rows[:, -1]
        if not np.isfinite(x).all() or not np.isin(labels, (0, 1)).all():
            raise ValueError("inputs that are no numbers, or other labels")
    except (tf.errors.OpError, OSError, ValueError, IndexError) as error:
        raise errors.InputError(
            "`--data_dir` must have numbers and, in the last column, labels 0 "
            f"and 1 in {path!r}; got {error}."
        ) from error
    sd = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(sd > 0.0, sd, 1.0)
    return LogisticRegression(
        name,
        np.concatenate([np.ones([len(x), 1]), x], axis=1),
        labels,
        EVIDENCE[name].log_normalizer,
    )
