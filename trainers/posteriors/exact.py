"""How far the moments of exact draws are from the true ones.

What no surrogate can be asked to better: of heavy tails, the standard deviation
of a finite set of draws is mostly too small, and now and then far too large.
"""

from typing import Any

import keras
import numpy as np

from trainers.posteriors import fit as fit_posterior
from trainers.posteriors.targets import PosteriorTarget

__all__ = ["NUM_SETS", "judge"]

NUM_SETS = 100


def judge(
    target: PosteriorTarget,
    mean: np.ndarray,
    sd: np.ndarray,
    num_draws: int,
    num_sets: int = NUM_SETS,
) -> dict[str, Any]:
    """The largest errors of each set, see `fit.largest_errors`.

    Args:
      target: one with exact draws.
      mean: of its variables, `[V]`.
      sd: likewise.
      num_draws: of each set.
      num_sets: set s is drawn with seed s.

    Raises:
      ValueError: a target without exact draws.
    """
    if target.sample is None:
        raise ValueError(
            "`target` must have exact draws, `sample`; got None, of "
            f"{target.source}."
        )
    bar = keras.utils.Progbar(num_sets, unit_name="set")
    found = []
    for seed in range(num_sets):
        draws = target.sample(num_draws, seed)
        found.append(
            fit_posterior.largest_errors(
                *fit_posterior.moment_errors(target, draws, mean, sd)
            )
        )
        bar.update(seed + 1)
    return {
        "num_draws": num_draws,
        "num_sets": num_sets,
        "sets": {name: [one[name] for one in found] for name in found[0]},
    }
