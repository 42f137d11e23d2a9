"""NeuTra on Neal's funnel: HMC in the space that a trained flow straightens.

    python -m trainers.posteriors.neutra --results=results/posteriors/funnel

    v ~ N(0, 3^2),    x_i ~ N(0, exp(v)),  i = 1, ..., 9

An IAF is trained to the funnel by its free energy; then
`tfp.mcmc.TransformedTransitionKernel` runs HMC in the flow's base space. Beside
it plain HMC, at each of several step sizes. Effort is counted in gradients of
the log density, of which every sample of every training step is one.

Hoffman, Sountsov, Dillon, Langmore, Tran, Vasudevan. NeuTra-lizing Bad Geometry
in Hamiltonian Monte Carlo Using Neural Transport. 2019.
https://arxiv.org/abs/1903.03704
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl import logging

from tfp_flows import layers
from trainers.posteriors.hamiltonian import Draws, HMCSettings, diagnose, sample
from trainers.runs import command_line, provenance
from trainers.runs import workdir as workdirs

__all__ = ["QUICK", "Settings", "funnel_log_prob", "main", "run"]

tfb, tfd = tfp.bijectors, tfp.distributions

EVENT_SIZE = 10
TRUE_SD = 3.0  # of v


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    num_flow_steps: int = 2
    hidden_units: tuple[int, ...] = (64, 64)
    num_training_steps: int = 5_000
    num_samples: int = 64  # a training step
    learning_rate: float = 1e-2  # the cosine's start
    neutra: HMCSettings = HMCSettings(
        num_chains=64,
        num_burnin_steps=1_000,
        num_results=5_000,
        num_leapfrog_steps=4,
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
    neutra=HMCSettings(4, 50, 100, 4, 0.3),
    plain=HMCSettings(4, 50, 100, 10, adapt_step_size=False),
    plain_step_sizes=(0.1, 0.3),
)


def funnel_log_prob(z: tf.Tensor) -> tf.Tensor:
    """`log p(v, x_1, ..., x_9)`, in nats, of points `[..., 10]`."""
    v, x = z[..., :1], z[..., 1:]
    log_v = tfd.Normal(0.0, TRUE_SD).log_prob(v[..., 0])
    log_x = tfd.Normal(0.0, tf.exp(0.5 * v)).log_prob(x)
    return log_v + tf.reduce_sum(log_x, axis=-1)


def _train(settings: Settings) -> tuple[tfb.Bijector, float]:
    """The flow on constants, and the last free energy."""
    layer = layers.IAFFlow(
        settings.num_flow_steps, settings.hidden_units, seed=settings.seed
    )
    layer.build((None, EVENT_SIZE))
    flow = layer.trainable_bijector()
    surrogate = tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag(tf.zeros(EVENT_SIZE), tf.ones(EVENT_SIZE)),
        flow,
    )
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.num_training_steps
    )
    losses = tfp.vi.fit_surrogate_posterior(
        funnel_log_prob,
        surrogate,
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=10.0),
        num_steps=settings.num_training_steps,
        sample_size=settings.num_samples,
        jit_compile=True,
        seed=(settings.seed, 1),
    ).numpy()
    return flow, float(np.mean(losses[-len(losses) // 20 :]))


def _only_v(z: tf.Tensor) -> tf.Tensor:
    return z[..., :1]


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
    flow, free_energy = _train(settings)
    logging.info("The flow's free energy is %.4f (best: 0).", free_energy)
    start = tf.random.stateless_normal(
        [settings.neutra.num_chains, EVENT_SIZE], [settings.seed, 3]
    )
    neutra = _summary(
        sample(
            funnel_log_prob,
            start,
            settings.neutra,
            settings.seed,
            bijector=flow,
            variables=_only_v,
        ),
        settings.neutra,
        settings.num_training_steps * settings.num_samples,
    )
    logging.info("NeuTra: %s", neutra)
    plain = []
    for step_size in settings.plain_step_sizes:
        hmc = settings.plain._replace(step_size=step_size)
        start = tf.random.stateless_normal(
            [hmc.num_chains, EVENT_SIZE], [settings.seed, 3]
        )
        plain.append(
            _summary(
                sample(
                    funnel_log_prob,
                    start,
                    hmc,
                    settings.seed,
                    variables=_only_v,
                ),
                hmc,
            )
        )
        logging.info("Plain HMC: %s", plain[-1])
    return {
        "experiment": "neutra",
        "target": "funnel",
        "event_size": EVENT_SIZE,
        "true_mean": 0.0,
        "true_sd": TRUE_SD,
        "free_energy": free_energy,
        "neutra": neutra,
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
