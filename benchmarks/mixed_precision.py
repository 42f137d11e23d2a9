"""How much of a bound do networks in bfloat16 cost?

Every flow of the configs, no flow, a continuously-indexed and a Hamiltonian
posterior, in the DLGM of `configs/digits.py`, trained twice from equal weights
on equal noise: all in float32, and under Keras's policy `mixed_bfloat16`, where
networks are in bfloat16 and flows and densities in float32. Then the ELBO and
`log p(x)` of the other images, in nats.

    python -m benchmarks.mixed_precision     # about half an hour on one core
    python -m benchmarks.mixed_precision --quick --out /tmp/quick.json
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import sklearn.datasets

from benchmarks import _command, _measure
from benchmarks._long_flow_child import versions
from configs import digits
from configs.flows import FLOWS
from trainers.images import build
from trainers.report import benchmarks as report_benchmarks
from trainers.runs.optimizers import build_optimizer

__all__ = ["QUICK", "Settings", "main", "run"]

POLICIES = ("float32", "mixed_bfloat16")


class Settings(NamedTuple):
    """Everything that decides what is measured."""

    posteriors: tuple[str, ...] = (
        "flow=none",
        *(f"flow={name}" for name in FLOWS),
        "flow=planar,posterior=cif",
        "flow=none,posterior=hamiltonian",
    )
    flow_steps: int = 4
    num_updates: int = 1500
    num_train: int = 1500
    num_importance_samples: int = 200
    batch: int = 100


QUICK = Settings(
    posteriors=("flow=planar",),
    flow_steps=1,
    num_updates=3,
    num_train=30,
    num_importance_samples=2,
    batch=10,
)


def run(
    settings: Settings, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Measures every case and returns the content of `results.json`."""
    images = sklearn.datasets.load_digits().images > 7
    images = images.astype(np.float32)
    before, cases = keras.config.dtype_policy(), []
    try:
        for posterior in settings.posteriors:
            case: dict[str, Any] = {"posterior": posterior}
            for policy in POLICIES:
                keras.config.set_dtype_policy(policy)
                case[policy] = _figures(posterior, images, settings)
            cases.append(case)
            figures = ", ".join(
                f"{case[p]['elbo']:.3f} ({p})" for p in POLICIES
            )
            progress(f"{posterior}: ELBO {figures}")
    finally:
        keras.config.set_dtype_policy(before)
    return {
        "benchmark": "mixed_precision",
        **_measure.describe(),
        "versions": versions(),
        "settings": settings._asdict(),
        "cases": cases,
    }


def _figures(
    posterior: str, images: np.ndarray, settings: Settings
) -> dict[str, float]:
    """Means over the images that were not trained on, in nats."""
    arg = posterior
    if "flow=none" not in posterior:
        arg += f",K={settings.flow_steps}"
    config = digits.get_config(arg)
    model = build.build_model(config)
    model.compile(build_optimizer(config), jit_compile=False)
    train, test = np.split(images, [settings.num_train])
    updates_per_epoch = -(-len(train) // settings.batch)
    model.fit(
        train,
        batch_size=settings.batch,
        epochs=-(-settings.num_updates // updates_per_epoch),
        verbose=0,
    )
    bound, _, _ = model.bound_names
    evaluated = model.evaluate(test, verbose=0, return_dict=True)
    estimate = model.log_marginal_likelihood(
        test, settings.num_importance_samples, verbose=0, jit_compile=False
    )
    return {
        "elbo": float(evaluated[bound]),
        "log_p": estimate.mean,
        "log_p_standard_error": estimate.standard_error,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark from the command line."""
    parser = _command.parser("mixed_precision", str(__doc__))
    flags = parser.parse_args(argv)
    settings = _command.settings(parser, flags, Settings(), QUICK)
    _command.finish(
        run(settings, _command.show),
        flags.out,
        report_benchmarks.mixed_precision,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
