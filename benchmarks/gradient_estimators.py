"""How noisy are the three estimators of a bound's gradient?

A DLGM of scikit-learn's digits (8 x 8, binary), with no flow and with K planar
flow steps, trained on S importance samples with the plain, reparameterized
gradient. At initialisation and after training, for one and the same batch of
images and many draws of the noise: the variance of the gradient of the mean
bound, summed over the weights

- of the posterior (base and flow), and
- of the encoder,

of `reparameterized`, `sticking_the_landing` (S = 1, else it is biased) and
`doubly_reparameterized`, which see the same noise. What is asked for is the
ratio to the first. For the decoder all three are equal.

    python -m benchmarks.gradient_estimators     # minutes; writes results/
    python -m benchmarks.gradient_estimators --quick --out /tmp/quick.json
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf

import tfp_flows
from benchmarks import _command, _measure
from benchmarks._long_flow_child import versions
from tfp_flows.losses import GRADIENT_ESTIMATORS
from tfp_flows.math import noise
from tfp_flows.models import DLGM
from trainers.report import benchmarks as report_benchmarks

__all__ = ["QUICK", "Settings", "main", "run", "variances"]

PARTS = ("posterior", "encoder")


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    flow_steps: tuple[int, ...] = (0, 4)
    importance_samples: tuple[int, ...] = (1, 10)
    num_updates: int = 3000
    num_draws: int = 300
    batch: int = 100
    hidden: int = 64
    latent: int = 8
    learning_rate: float = 1e-3
    seed: int = 0


QUICK = Settings(
    flow_steps=(2,),
    importance_samples=(1, 3),
    num_updates=5,
    num_draws=4,
    batch=8,
    hidden=8,
    latent=3,
)


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    digits = sklearn.datasets.load_digits().images > 7
    digits = digits.reshape(-1, 64).astype(np.float32)
    cases = []
    for num_flow_steps in settings.flow_steps:
        for num_samples in settings.importance_samples:
            model = _make_model(num_flow_steps, num_samples, settings)
            measure = _measurement(model, digits[: settings.batch], settings)
            for num_updates in (0, settings.num_updates):
                if num_updates:
                    _train(model, digits, num_updates, settings)
                elbo = model.evaluate(digits, verbose=0, return_dict=True)
                case = {
                    "num_flow_steps": num_flow_steps,
                    "num_importance_samples": num_samples,
                    "num_updates": num_updates,
                    "elbo": elbo["elbo"],
                    "estimators": _ratios(measure()),
                }
                cases.append(case)
                progress(_line(case))
    return {
        "benchmark": "gradient_estimators",
        **_measure.describe(),
        "versions": versions(),
        "settings": settings._asdict(),
        "cases": cases,
    }


def _make_model(
    num_flow_steps: int, num_samples: int, settings: Settings
) -> DLGM:
    layers = tfp_flows.layers
    flow = None
    if num_flow_steps:
        flow = layers.PlanarFlow(num_flow_steps, seed=0, context_scale=1.0)
    keras.utils.set_random_seed(settings.seed)
    model = DLGM(
        gradient_estimator=GRADIENT_ESTIMATORS[0],
        annealing=None,
        encoder=layers.MLP([settings.hidden]),
        posterior=tfp_flows.posteriors.FlowPosterior(settings.latent, flow),
        decoder=layers.MLP([settings.hidden], output_size=64),
        num_importance_samples=num_samples,
        event_shape=(64,),
        seed=settings.seed,
    )
    model.compile(keras.optimizers.Adam(settings.learning_rate))
    model.build((None, 64))
    return model


def _train(
    model: DLGM, digits: np.ndarray, num_updates: int, settings: Settings
) -> None:
    batches = tf.data.Dataset.from_tensor_slices(digits)
    batches = batches.shuffle(len(digits), seed=settings.seed).repeat()
    batches = batches.batch(settings.batch)
    model.fit(batches, steps_per_epoch=num_updates, verbose=0)


def _measurement(
    model: DLGM, images: np.ndarray, settings: Settings
) -> Callable[[], dict[str, dict[str, float]]]:
    """A function that returns `variances` at the weights as they are then."""
    estimators = [
        name
        for name in GRADIENT_ESTIMATORS
        if name != "sticking_the_landing" or model.num_importance_samples == 1
    ]
    functions = {
        name: _gradient_function(model, images, name, settings.seed)
        for name in estimators
    }
    return lambda: variances(functions, settings.num_draws)


def _gradient_function(
    model: DLGM, images: np.ndarray, estimator: str, seed: int
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """From the number of a draw to the gradients of each part, flat."""
    images = tf.constant(images)
    shape = [
        model.num_importance_samples,
        len(images),
        model.posterior.noise_size,
    ]
    weights = {
        part: [w.value for w in getattr(model, part).trainable_weights]
        for part in PARTS
    }

    @tf.function(autograph=False)
    def gradients(draw: tf.Tensor) -> dict[str, tf.Tensor]:
        model.gradient_estimator = estimator  # while it is traced
        standard_normal = noise.normal(
            shape, seed=seed, step=draw, purpose="gradient estimators"
        )
        with tf.GradientTape() as tape:
            bound, _ = model.annealed_bound(
                images, standard_normal, training=True
            )
            mean = tf.reduce_mean(bound)
        model.gradient_estimator = GRADIENT_ESTIMATORS[0]
        return {
            part: tf.concat([tf.reshape(g, [-1]) for g in values], axis=0)
            for part, values in tape.gradient(mean, weights).items()
        }

    return gradients


def variances(
    functions: dict[str, Callable[[tf.Tensor], dict[str, tf.Tensor]]],
    num_draws: int,
) -> dict[str, dict[str, float]]:
    """Sums of the variances of a part's gradients, by estimator and part.

    Args:
      functions: by estimator, from the number of a draw to flat gradients.
      num_draws: how many draws.
    """
    result = {}
    for name, function in functions.items():
        draws = [function(tf.constant(i, tf.int64)) for i in range(num_draws)]
        result[name] = {
            part: float(
                np.sum(
                    np.var(
                        np.stack([d[part] for d in draws]),
                        axis=0,
                        ddof=1,
                        dtype=np.float64,
                    )
                )
            )
            for part in draws[0]
        }
    return result


def _ratios(
    measured: dict[str, dict[str, float]],
) -> dict[str, dict[str, dict[str, float]]]:
    """Adds to each variance its ratio to that of `reparameterized`."""
    plain = measured["reparameterized"]
    return {
        name: {
            part: {"variance": value, "ratio": value / plain[part]}
            for part, value in parts.items()
        }
        for name, parts in measured.items()
    }


def _line(case: dict[str, Any]) -> str:
    ratios = ", ".join(
        f"{name} {parts['posterior']['ratio']:.3f}"
        for name, parts in case["estimators"].items()
    )
    return (
        f"K={case['num_flow_steps']} S={case['num_importance_samples']} "
        f"after {case['num_updates']} updates, posterior's: {ratios}"
    )


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = _command.parser(
        "gradient_estimators",
        "How noisy are the estimators of a bound's gradient?",
    )
    parser.add_argument(
        "--num_draws",
        type=_command.positive_integer("num_draws"),
        help="draws of the noise, at least 2",
    )
    flags = parser.parse_args(arguments)
    if flags.num_draws == 1:
        parser.error("`num_draws` must be an integer >= 2; got 1.")
    settings = _command.settings(parser, flags, Settings(), QUICK)
    return settings, flags.out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and writes the JSON file."""
    settings, out = _parse(arguments)
    results = run(settings, _command.show)
    _command.finish(results, out, report_benchmarks.gradient_estimators)
    return 0


if __name__ == "__main__":
    sys.exit(main())
