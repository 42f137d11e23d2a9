"""What does a bridge of a Hamiltonian posterior cost, in decoder passes?

A bridge takes one gradient of `log p(x, z)` in z, which training differentiates
again, and runs again for that (`math.recomputed_loop`). One decoder
(20-200-200-784, softplus, Bernoulli) and one batch of 100; milliseconds of

- `pass`: the decoder forward and backward, `log p(x, z)` and its gradient in z
  and in the decoder's weights: what one sample costs a variational autoencoder;
- `base`: the gradient of the bound of a diagonal Gaussian, K = 0;
- `bridges`: that of `HamiltonianPosterior` with K bridges of one leapfrog step.

A bridge is `(bridges - base) / K`, by medians, and what is asked for is its
ratio to `pass`. The three take turns in one process, in an order shuffled every
round, after a first call of each; in graph mode and under XLA.

    python -m benchmarks.hamiltonian     # a minute; writes results/
    python -m benchmarks.hamiltonian --quick --out /tmp/quick.json
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from benchmarks import _command, _measure
from benchmarks._long_flow_child import versions
from trainers.report import benchmarks as report_benchmarks

__all__ = ["QUICK", "Settings", "main", "run"]

MODES = {"graph": False, "xla": True}
WANTED = 3.5  # passes, at most


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    num_bridges: int = 16
    num_repeats: int = 101
    pixels: int = 784
    hidden: int = 200
    latent: int = 20
    batch: int = 100


QUICK = Settings(2, num_repeats=3, pixels=16, hidden=8, latent=3, batch=4)


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every mode and returns the content of `results.json`."""
    cases = []
    for mode, jit_compile in MODES.items():
        seconds = _seconds(_ways(settings, jit_compile), settings.num_repeats)
        case = {"mode": mode, **_summary(seconds, settings.num_bridges)}
        cases.append(case)
        progress(f"{mode}: a bridge costs {case['ratio']:.2f} passes")
    return {
        "benchmark": "hamiltonian",
        **_measure.describe(),
        "versions": versions(),
        "settings": settings._asdict(),
        "wanted": WANTED,
        "cases": cases,
    }


def _ways(
    settings: Settings, jit_compile: bool
) -> dict[str, Callable[[], tf.Tensor]]:
    """The functions to be timed; each returns one number, when it is done."""
    keras.utils.set_random_seed(0)
    decoder = tfp_flows.layers.MLP(
        [settings.hidden] * 2, settings.pixels, activation="softplus"
    )
    decoder.build((None, settings.latent))
    shape = (settings.batch, settings.pixels)
    x = np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)
    images = tf.constant(x)

    likelihood = tfp_flows.likelihoods.get("bernoulli")

    def log_joint(z: tf.Tensor) -> tf.Tensor:
        logits = decoder(tf.reshape(z, [settings.batch, settings.latent]))
        log_likelihood = likelihood.distribution(logits, 1).log_prob(images)
        log_prior = -0.5 * tf.reduce_sum(z * z, axis=-1)
        return log_likelihood[tf.newaxis] + log_prior

    def compiled(
        function: Callable[[tf.Tensor], tf.Tensor],
        noise_size: int,
        sources: Any,
    ) -> Callable[[], tf.Tensor]:
        noise = tf.random.stateless_normal(
            [1, settings.batch, noise_size], [0, 0], alg="philox"
        )

        @tf.function(autograph=False, jit_compile=jit_compile)
        def gradient(noise: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(noise)
                bound = tf.reduce_mean(function(noise))
            gradients = tape.gradient(bound, [noise, *sources])
            return tf.add_n([tf.reduce_sum(g) for g in gradients])

        return lambda: gradient(noise).numpy()

    weights = [w.value for w in decoder.trainable_weights]
    ways = {"pass": compiled(log_joint, settings.latent, weights)}
    for name, num_bridges in (("base", 0), ("bridges", settings.num_bridges)):
        posterior = tfp_flows.posteriors.HamiltonianPosterior(
            tfp_flows.posteriors.FlowPosterior(settings.latent), num_bridges
        )
        posterior.build()

        def bound(noise: tf.Tensor, posterior: Any = posterior) -> tf.Tensor:
            z, log_weight = posterior.sample_and_log_weight(
                noise, posterior.parameters(), log_joint=log_joint
            )
            return log_joint(z) + log_weight

        own = [w.value for w in posterior.trainable_weights]
        ways[name] = compiled(bound, posterior.noise_size, [*weights, *own])
    return ways


def _seconds(
    ways: dict[str, Callable[[], tf.Tensor]], num_repeats: int
) -> dict[str, list[float]]:
    for way in ways.values():
        way()  # compiles
    return _measure.in_turns(ways, num_repeats)


def _summary(
    seconds: dict[str, list[float]], num_bridges: int
) -> dict[str, Any]:
    """Milliseconds of each way, of a bridge, and its ratio to a pass."""
    milliseconds = {
        way: _measure.quartiles([1e3 * s for s in values])
        for way, values in seconds.items()
    }
    medians = {way: value["median"] for way, value in milliseconds.items()}
    bridge = (medians["bridges"] - medians["base"]) / num_bridges
    return {
        "milliseconds": milliseconds,
        "bridge_milliseconds": bridge,
        "ratio": bridge / medians["pass"],
    }


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = _command.parser(
        "hamiltonian", "What does a bridge cost, in decoder passes?"
    )
    for name in ("num_bridges", "num_repeats"):
        parser.add_argument(f"--{name}", type=_command.positive_integer(name))
    flags = parser.parse_args(arguments)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    return settings, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and writes the JSON file."""
    settings, out = _parse(arguments)
    results = run(settings, _command.show)
    _command.finish(results, out, report_benchmarks.hamiltonian)
    return 0


if __name__ == "__main__":
    sys.exit(main())
