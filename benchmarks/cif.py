"""What does it cost to index a flow continuously?

Training steps of a DLGM (784-200-D, D = 20, decoder 20-200-784, Bernoulli,
batch 100, Adam, one sample, sticking the landing, XLA) whose posterior is

- `flow`: K autoregressive splines behind a diagonal Gaussian,
- `cif`: the same splines, each with an index of two numbers,
- `cif_more`: that, with one further draw of the indices in the bound (M = 1),
  for which each spline is inverted,

one after the other in the same process, and the time of the first step, with
tracing and compiling, at two lengths K. What is asked for are the ratios: of
the steps to `flow`'s of the same K, and of the first steps of the long to those
of the short.

    python -m benchmarks.cif                   # minutes; writes results/
    python -m benchmarks.cif --quick --out /tmp/quick.json
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import tfp_flows
from benchmarks import _command, _measure
from benchmarks._long_flow_child import versions
from tfp_flows.models import DLGM
from tfp_flows.posteriors import CIFPosterior, FlowPosterior, Posterior
from trainers.report import benchmarks as report_benchmarks

__all__ = ["QUICK", "VARIANTS", "Settings", "main", "run"]


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    lengths: tuple[int, ...] = (8, 64)
    steps_at: int = 8
    num_rounds: int = 60
    batch: int = 100
    image_size: int = 784
    hidden: int = 200
    latent: int = 20
    flow_hidden: tuple[int, ...] = (32, 32)
    auxiliary: int = 2
    seed: int = 0


QUICK = Settings(
    lengths=(1, 2),
    steps_at=1,
    num_rounds=2,
    batch=4,
    image_size=9,
    hidden=4,
    latent=2,
    flow_hidden=(4,),
    auxiliary=1,
)


def _flow(settings: Settings, length: int) -> Any:
    return tfp_flows.layers.SplineAutoregressiveFlow(
        length, hidden_units=settings.flow_hidden, seed=settings.seed
    )


def _cif(settings: Settings, length: int, **kwargs: Any) -> Posterior:
    return CIFPosterior(
        settings.latent, _flow(settings, length), settings.auxiliary, **kwargs
    )


VARIANTS: dict[str, Callable[[Settings, int], Posterior]] = {
    "flow": lambda s, length: FlowPosterior(s.latent, _flow(s, length)),
    "cif": _cif,
    "cif_more": lambda s, length: _cif(s, length, num_auxiliary_samples=1),
}


def _step(settings: Settings, variant: str, length: int) -> Callable[[], Any]:
    keras.utils.set_random_seed(settings.seed)
    mlp = tfp_flows.layers.MLP
    model = DLGM(
        encoder=mlp([settings.hidden]),
        posterior=VARIANTS[variant](settings, length),
        decoder=mlp([settings.hidden], output_size=settings.image_size),
        annealing=None,
        event_shape=(settings.image_size,),
    )
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=True)
    model.build((None, settings.image_size))
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(settings.seed)
    shape = (settings.batch, settings.image_size)
    images = tf.constant(rng.integers(0, 2, shape).astype(np.float32))
    step = tf.function(model.train_step, autograph=False, jit_compile=True)
    return lambda: step(images)["loss"].numpy()


def _seconds(step: Callable[[], Any]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    steps, first_seconds = {}, {}
    for variant in VARIANTS:
        first_seconds[variant] = {}
        for length in settings.lengths:
            step = _step(settings, variant, length)
            seconds = _seconds(step)
            first_seconds[variant][str(length)] = seconds
            if length == settings.steps_at:
                steps[variant] = step
            progress(f"{variant}, K = {length}: first step {seconds:.1f} s")
    times: dict[str, list[float]] = {variant: [] for variant in steps}
    for _ in range(settings.num_rounds):
        for variant, step in steps.items():
            times[variant].append(1e3 * _seconds(step))
    cases = [
        {
            "variant": variant,
            "step_milliseconds": _measure.quartiles(times[variant]),
            "ratio_to_flow": _measure.quartiles(
                [
                    a / b
                    for a, b in zip(times[variant], times["flow"], strict=True)
                ]
            ),
            "first_step_seconds": first_seconds[variant],
            "ratio_of_first_steps": first_seconds[variant][
                str(settings.lengths[-1])
            ]
            / first_seconds[variant][str(settings.lengths[0])],
        }
        for variant in VARIANTS
    ]
    return {
        "benchmark": "cif",
        **_measure.describe(),
        "versions": versions(),
        "settings": settings._asdict(),
        "cases": cases,
    }


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = _command.parser(
        "cif", "The cost of a continuously-indexed flow's training step."
    )
    flags = parser.parse_args(arguments)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    return settings, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and writes the JSON file."""
    settings, out = _parse(arguments)
    results = run(settings, _command.show)
    _command.finish(results, out, report_benchmarks.cif)
    return 0


if __name__ == "__main__":
    sys.exit(main())
