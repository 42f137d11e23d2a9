"""The moments of a posterior that comes without them, by a long HMC.

Where chains have not mixed, others follow in coordinates that the covariance of
their draws whitens.

python -m trainers.posteriors.sample --target=breast_cancer \
        --results=results/posteriors/breast_cancer/reference
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from trainers.posteriors.catalogue import TARGETS, get_target
from trainers.posteriors.hamiltonian import (
    Draws,
    HMCSettings,
    diagnose,
    sample,
)
from trainers.posteriors.targets import PosteriorTarget
from trainers.runs import provenance
from trainers.runs import workdir as workdirs

__all__ = ["DEFAULT", "QUICK", "main", "run"]

# With 20 leapfrog steps the widest coordinates come back to where they were.
DEFAULT = HMCSettings(num_leapfrog_steps=9)
QUICK = HMCSettings(num_chains=4, num_burnin_steps=100, num_results=100)

_MIXED = 1.01  # R-hat


def run(
    name: str,
    settings: HMCSettings = DEFAULT,
    seed: int = 0,
    data_dir: str | None = None,
) -> dict[str, Any]:
    """Mean and standard deviation of every variable, and how sure they are.

    Args:
      name: of the target.
      settings: of the chains.
      seed: of their starts and noise.
      data_dir: see `get_target`.
    """
    target = get_target(name, data_dir)
    draws, values, found = _chains(target, settings, seed)
    is_whitened = bool(found["r_hat"].max() > _MIXED)
    if is_whitened:
        logging.info(
            "%s: R-hat %.3f; sampled again, whitened.",
            name,
            found["r_hat"].max(),
        )
        draws, values, found = _chains(target, settings, seed, draws.values)
    sd = values.std(axis=(0, 1))
    return {
        "experiment": "posterior_reference",
        "target": name,
        "source": target.source,
        "names": list(target.names),
        "mean": values.mean(axis=(0, 1)).tolist(),
        "sd": sd.tolist(),
        "mean_standard_error": (sd / np.sqrt(found["ess_bulk"])).tolist(),
        "largest_r_hat": float(found["r_hat"].max()),
        "smallest_ess_bulk": float(found["ess_bulk"].min()),
        "acceptance_rate": draws.acceptance_rate,
        "step_size": draws.step_size,
        "is_whitened": is_whitened,
        "settings": settings._asdict(),
        "seed": seed,
        **provenance.describe_end(),
    }


def _chains(
    target: PosteriorTarget,
    settings: HMCSettings,
    seed: int,
    before: np.ndarray | None = None,
) -> tuple[Draws, np.ndarray, dict[str, np.ndarray]]:
    """Draws of the coordinates, their variables, and how well chains mixed.

    Args:
      target: the posterior.
      settings: of the chains.
      seed: of their starts and noise.
      before: draws `[..., D]` whose mean and covariance whiten the coordinates.
    """
    size = target.event_size
    mean, scale = tf.zeros([size]), tf.eye(size)
    if before is not None:
        before = before.reshape([-1, size]).astype(np.float64)
        mean = tf.constant(before.mean(axis=0), tf.float32)
        covariance = np.cov(before, rowvar=False)
        scale = tf.constant(np.linalg.cholesky(covariance), tf.float32)

    def coordinates(e: tf.Tensor) -> tf.Tensor:
        return mean + tf.linalg.matvec(scale, e)

    start = tf.random.stateless_normal([settings.num_chains, size], [seed, 1])
    draws = sample(
        lambda e: target.log_prob(coordinates(e)),
        0.1 * start,
        settings,
        seed,
        variables=coordinates,
    )
    values = target.variables(tf.constant(draws.values)).numpy()
    values = values.astype(np.float64)
    return draws, values, diagnose(values)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.posteriors.sample",
        description="Samples a posterior by Hamiltonian Monte Carlo.",
    )
    add = parser.add_argument
    add("--target", required=True, choices=TARGETS)
    add("--results", required=True, help="directory of results.json")
    add("--data_dir", help="folder with uci, or one beside that")
    add("--seed", type=int, default=0)
    add("--quick", action="store_true", help="tiny, to try it out")
    flags = parser.parse_args(sys.argv[1:] if argv is None else argv)
    path = os.path.join(flags.results, "results.json")
    if tf.io.gfile.exists(path):
        sys.exit(f"error: `results` must hold no results.json yet; got {path}.")
    settings = QUICK if flags.quick else DEFAULT
    found = run(flags.target, settings, flags.seed, flags.data_dir)
    tf.io.gfile.makedirs(flags.results)
    workdirs.write_json(path, found)
    print(
        f"{flags.target}: largest R-hat {found['largest_r_hat']:.4f}, smallest "
        f"bulk effective sample size {found['smallest_ess_bulk']:,.0f}; {path}"
    )


if __name__ == "__main__":
    main()
