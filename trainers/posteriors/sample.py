"""The moments of a posterior that comes without them, by a long HMC.

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

from trainers.posteriors.catalogue import TARGETS, get_target
from trainers.posteriors.hamiltonian import HMCSettings, diagnose, sample
from trainers.runs import provenance
from trainers.runs import workdir as workdirs

__all__ = ["DEFAULT", "QUICK", "main", "run"]

# With 20 leapfrog steps the widest coordinates come back to where they were.
DEFAULT = HMCSettings(num_leapfrog_steps=9)
QUICK = HMCSettings(num_chains=4, num_burnin_steps=100, num_results=100)


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
    start = 0.1 * tf.random.stateless_normal(
        [settings.num_chains, target.event_size], [seed, 1]
    )
    draws = sample(
        target.log_prob, start, settings, seed, variables=target.variables
    )
    values = draws.values.astype(np.float64)
    found = diagnose(values)
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
        "settings": settings._asdict(),
        "seed": seed,
        **provenance.describe_end(),
    }


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
