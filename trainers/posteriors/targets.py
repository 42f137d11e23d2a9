"""Posteriors of other people's models, in coordinates on all of R^D."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["PosteriorTarget"]


class PosteriorTarget(NamedTuple):
    """An unnormalised density, and the variables by which it is judged.

    Attributes:
      event_size: D.
      log_prob: maps coordinates `[..., D]` to `[...]`, in nats: `log p(z, y)`
        with all its constants.
      variables: maps coordinates `[..., D]` to variables `[..., V]`.
      names: of the V variables.
      source: where the model, its moments and its evidence come from.
      log_normalizer: log evidence, `log p(y)`, in nats.
      log_normalizer_standard_error: of that; 0 if it is known by quadrature,
        the rounding of `log_prob` where a surrogate can be as good as that.
      mean: of the variables, `[V]`; None: sampled by
        `trainers.posteriors.sample`.
      sd: likewise.
      sample: exact draws of the coordinates, `[S, D]`, of their number and a
        seed; None where there are none.
    """

    event_size: int
    log_prob: Callable[[tf.Tensor], tf.Tensor]
    variables: Callable[[tf.Tensor], tf.Tensor]
    names: tuple[str, ...]
    source: str
    log_normalizer: float
    log_normalizer_standard_error: float = 0.0
    mean: np.ndarray | None = None
    sd: np.ndarray | None = None
    sample: Callable[[int, int], np.ndarray] | None = None
