"""NeuTra chains from a fitted surrogate, checked by R-hat and moments."""

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
import tensorflow_probability as tfp

from tfp_flows import vi
from trainers.posteriors.fit import largest_errors, moment_errors
from trainers.posteriors.targets import PosteriorTarget

__all__ = ["QUICK", "Settings", "run"]

tfd = tfp.distributions


class Settings(NamedTuple):
    """Of the chains; all else is the default of `tfp_flows.vi.neutra`."""

    num_results: int = 4_000
    num_burnin_steps: int = 1_000
    num_chains: int = 16


QUICK = Settings(num_results=50, num_burnin_steps=50, num_chains=4)


def run(
    target: PosteriorTarget,
    surrogate: tfd.Distribution,
    mean: np.ndarray,
    sd: np.ndarray,
    seed: int,
    settings: Settings,
) -> dict[str, Any]:
    """How well chains mix in the space before the surrogate's flow.

    Args:
      target: the posterior.
      surrogate: of `vi.build_flow_surrogate_posterior`, fitted.
      mean: of the target's variables, `[V]`.
      sd: likewise.
      seed: of the chains.
      settings: how many, and how long.
    """
    start = time.perf_counter()
    with warnings.catch_warnings():
        # R-hat is among the results.
        warnings.filterwarnings("ignore", ".*have not mixed")
        found = vi.neutra(
            target.log_prob, surrogate, seed=seed, **settings._asdict()
        )
    return {
        "seconds": time.perf_counter() - start,
        "largest_r_hat": float(np.max(found.r_hat)),
        "smallest_effective_sample_size": float(
            np.min(found.effective_sample_size)
        ),
        "acceptance_rate": found.acceptance_rate,
        "step_size": found.step_size,
        "num_gradients": found.num_gradients,
        **largest_errors(*moment_errors(target, found.draws, mean, sd)),
        "settings": settings._asdict(),
    }
