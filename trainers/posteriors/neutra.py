"""NeuTra on Neal's funnel: HMC in the space that a trained flow straightens.

    python -m trainers.posteriors.neutra --results=results/posteriors/funnel

    v ~ N(0, 3^2),    x_i ~ N(0, exp(v)),  i = 1, ..., 9

An IAF is trained to the funnel by `tfp_flows.vi.fit`; then HMC runs in the
flow's base space, `tfp_flows.vi.neutra`. Beside it plain HMC, at each of
several step sizes. Effort is counted in gradients of the log density, of which
every sample of every training step is one.

Hoffman, Sountsov, Dillon, Langmore, Tran, Vasudevan. NeuTra-lizing Bad Geometry
in Hamiltonian Monte Carlo Using Neural Transport. 2019.
https://arxiv.org/abs/1903.03704
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from tfp_flows import vi
from trainers.posteriors import hierarchies
from trainers.posteriors.families import make_surrogate
from trainers.posteriors.hamiltonian import Draws, HMCSettings, diagnose, sample
from trainers.posteriors.targets import PosteriorTarget
from trainers.runs import command_line, provenance
from trainers.runs import workdir as workdirs

__all__ = ["QUICK", "Settings", "main", "run"]

TRUE_SD = 3.0  # of v


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    num_training_steps: int = 5_000
    num_samples: int = 128  # a training step
    learning_rate: float = 1e-2  # the cosine's start
    neutra: HMCSettings = HMCSettings(
        num_chains=64,
        num_burnin_steps=1_000,
        num_results=5_000,
        num_leapfrog_steps=2,
        step_size=0.3,
    )
    plain: HMCSettings = HMCSettings(
        num_chains=64,
        num_burnin_steps=1_000,
        num_results=5_000,
        num_leapfrog_steps=10,
        adapt_step_size=False,
    )
    plain_step_sizes: tuple[float, ...] = (
        *(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    )
    seed: int = 0


QUICK = Settings(
    num_training_steps=50,
    neutra=HMCSettings(4, 50, 100, 2, 0.3),
    plain=HMCSettings(4, 50, 100, 10, adapt_step_size=False),
    plain_step_sizes=(0.1, 0.3),
)


def _only_v(z: tf.Tensor) -> tf.Tensor:
    return z[..., :1]


def _neutra(target: PosteriorTarget, settings: Settings) -> dict[str, Any]:
    """The flow's training, and what the chains in its space were worth."""
    surrogate = make_surrogate("iaf", target, seed=settings.seed)
    trained = vi.fit(
        target.log_prob,
        surrogate,
        num_steps=settings.num_training_steps,
        num_draws=settings.num_samples,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        verbose=False,
    )
    logging.info("The surrogate: %s", trained)
    hmc = settings.neutra
    found = vi.neutra(
        target.log_prob,
        surrogate,
        hmc.num_results,
        num_chains=hmc.num_chains,
        num_burnin_steps=hmc.num_burnin_steps,
        num_leapfrog_steps=hmc.num_leapfrog_steps,
        initial_step_size=hmc.step_size,
        seed=settings.seed,
    )
    draws = Draws(
        np.asarray(_only_v(found.draws)), found.acceptance_rate, found.step_size
    )
    summary = _summary(
        draws, hmc, settings.num_training_steps * settings.num_samples
    )
    return {"free_energy": -trained.elbo, "neutra": summary}


def _summary(
    draws: Draws, settings: HMCSettings, num_training_gradients: int = 0
) -> dict[str, Any]:
    found = diagnose(draws.values)
    ess = float(found["ess_bulk"][0])
    gradients = settings.num_gradients
    return {
        "mean": float(draws.values.mean()),
        "sd": float(draws.values.std()),
        "r_hat": float(found["r_hat"][0]),
        "ess_bulk": ess,
        "num_gradients": gradients,
        "num_training_gradients": num_training_gradients,
        "ess_per_gradient": ess / (gradients + num_training_gradients),
        "ess_per_gradient_without_training": ess / gradients,
        "acceptance_rate": draws.acceptance_rate,
        "step_size": draws.step_size,
    }


def run(settings: Settings) -> dict[str, Any]:
    """Trains, samples with both, and returns the content of results.json."""
    target = hierarchies.funnel()
    by_flow = _neutra(target, settings)
    logging.info("NeuTra: %s", by_flow["neutra"])
    plain = []
    for step_size in settings.plain_step_sizes:
        hmc = settings.plain._replace(step_size=step_size)
        start = tf.random.stateless_normal(
            [hmc.num_chains, target.event_size], [settings.seed, 3]
        )
        draws = sample(
            target.log_prob, start, hmc, settings.seed, variables=_only_v
        )
        plain.append(_summary(draws, hmc))
        logging.info("Plain HMC: %s", plain[-1])
    return {
        "experiment": "neutra",
        "target": "funnel",
        "event_size": target.event_size,
        "true_mean": 0.0,
        "true_sd": TRUE_SD,
        **by_flow,
        "plain": plain,
        "settings": {
            **settings._asdict(),
            "neutra": settings.neutra._asdict(),
            "plain": settings.plain._asdict(),
        },
        "seed": settings.seed,
        **provenance.describe_end(),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.posteriors.neutra",
        description="NeuTra and plain HMC on Neal's funnel.",
    )
    parser.add_argument(
        "--results", required=True, help="directory of the results.json file"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny, to try it out"
    )
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args(sys.argv[1:] if argv is None else argv)
    command_line.set_up_log()
    path = os.path.join(flags.results, "results.json")
    if tf.io.gfile.exists(path):
        sys.exit(f"error: `results` must hold no results.json yet; got {path}.")
    settings = (QUICK if flags.quick else Settings())._replace(seed=flags.seed)
    found = run(settings)
    tf.io.gfile.makedirs(flags.results)
    workdirs.write_json(path, found)


if __name__ == "__main__":
    main()
