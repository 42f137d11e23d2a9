"""Files as those of the package sbibm, of draws that are of no posterior."""

import bz2

import numpy as np

from trainers.densities.simulators import SIMULATORS


def write(folder, task, num_draws):
    """Writes `<folder>/sbibm`; returns its observations and draws."""
    simulator = SIMULATORS[task]
    rng = np.random.default_rng(0)
    draws = rng.uniform(-0.1, 0.1, [10, num_draws, simulator.num_parameters])
    observations = rng.normal(size=[10, simulator.num_observed])
    for i in range(10):
        place = folder / "sbibm" / "tasks" / task / "files"
        place /= f"num_observation_{i + 1}"
        place.mkdir(parents=True)
        (place / "observation.csv").write_text(_csv("data", observations[[i]]))
        packed = bz2.compress(_csv("parameter", draws[i]).encode())
        (place / "reference_posterior_samples.csv.bz2").write_bytes(packed)
    never = "raise AssertionError('it is never imported')\n"
    (folder / "sbibm" / "__init__.py").write_text(never)
    return observations, draws


def _csv(name, rows):
    names = ",".join(f"{name}_{i + 1}" for i in range(rows.shape[-1]))
    lines = [",".join(map(repr, map(float, row))) for row in rows]
    return "\n".join([names, *lines, ""])
