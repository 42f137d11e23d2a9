"""What the library's defaults are chosen by: settings, flows, data sets.

    python -m trainers.sweeps.defaults --workdir=runs/defaults \
        --results=results/defaults --data_dir=<TFDS folder>

Every run differs from its config in length, and where it does not take the
library's defaults in the scale of the context, the estimator of the gradient,
the annealing and the number of importance samples alone. It ends with
`<results>/<dataset>/<its settings>/results.json` and the bounds of each test
image. Runs that have their results.json are left alone,
interrupted ones are continued. All of them take some hours.
"""

import dataclasses
import math
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ml_collections import config_dict

from configs import digits, fashion_mnist, mnist
from configs.flows import FLOWS
from trainers.sweeps import command
from trainers.sweeps.run_images import run_images
from trainers.sweeps.run_missing import make_config

__all__ = ["DATASETS", "STEPS", "Cell", "cells", "main"]

DATASETS = {
    "digits": digits.get_config,
    "mnist": mnist.get_config,
    "fashion_mnist": fashion_mnist.get_config,
}
# The flows that stand for their kind, by name and length on the larger images.
STEPS = {
    "planar": 40,
    "sylvester_orthogonal": 8,
    "spline_coupling": 4,
    "iaf": 4,
}
_NUM_STEPS = 6_000  # on the larger images; the digits' config has its own
_SHARE = 1 / 6  # of the updates, the length of annealing

_LANDING, _REPARAMETERIZED = "sticking_the_landing", "reparameterized"
_DOUBLY = "doubly_reparameterized"
_SCALES = {
    "1": lambda num_steps: 1.0,
    "1_sqrtK": lambda num_steps: 1 / math.sqrt(num_steps),
    "1_K": lambda num_steps: 1 / num_steps,
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: a data set, a flow and what a default may be."""

    dataset: str
    flow: str
    scale: str = "1"  # one of `_SCALES`
    estimator: str = _LANDING
    share: float = 0.0  # of KL annealing in the updates
    num_samples: int = 1  # S of the bound
    seed: int = 0
    is_library: bool = False  # its defaults, whatever is said above

    @property
    def path(self) -> str:
        """Its directory, below that of the sweep."""
        settings = (
            ["library"]
            if self.is_library
            else [
                f"scale{self.scale}",
                self.estimator,
                f"share{self.share:.2f}",
            ]
        )
        parts = [
            self.flow,
            *settings,
            f"S{self.num_samples}",
            f"seed{self.seed}",
        ]
        return os.path.join(self.dataset, "-".join(parts))

    def config(self, variant: str | None = None) -> config_dict.ConfigDict:
        """Its configuration; `variant` may be "runlocal"."""
        settings: dict[str, Any] = {"flow": self.flow}
        if self.flow != "none":
            settings["K"] = self.num_flow_steps
        config = make_config(
            DATASETS[self.dataset], settings, self.seed, variant
        )
        training = config.training
        if self.dataset != "digits" and not variant:
            training.num_steps = _NUM_STEPS
            training.validation_steps = 1_000
            config.optimizer.warmup_steps = 500
            config.evaluation.num_importance_samples = 200
            config.evaluation.num_images = 1_000
        training.num_importance_samples = self.num_samples
        if self.is_library:
            return config
        config.posterior.context_scale = _SCALES[self.scale](
            max(1, config.posterior.num_flow_steps)
        )
        training.gradient_estimator = self.estimator
        training.annealing = "kl" if self.share else "none"
        training.annealing_steps = max(
            1, round(self.share * training.num_steps)
        )
        return config

    @property
    def num_flow_steps(self) -> int:
        """K; on the digits planar has the 16 of their config."""
        if self.dataset == "digits" and self.flow == "planar":
            return 16
        return STEPS.get(self.flow, 0)


def cells(datasets: Collection[str] = tuple(DATASETS)) -> Iterator[Cell]:
    """All runs, the settings that the trainers had before first."""
    for number, changes in enumerate(_settings()):
        for dataset in datasets:
            if _is_slow(dataset, **changes):
                continue
            yield Cell(dataset, **changes)
            if dataset == "digits" and number < 2 * len(STEPS):
                yield Cell(dataset, **changes, seed=1)
    for dataset in datasets:
        for flow in ("none", *STEPS):
            yield Cell(dataset, flow, is_library=True)
            if dataset == "digits" and flow != "none":
                yield Cell(dataset, flow, seed=1, is_library=True)
        if not _is_slow(dataset, num_samples=5):
            yield Cell(dataset, "planar", num_samples=5, is_library=True)
    if "digits" in datasets:  # the trainers' length of before
        for seed in (0, 1):
            yield Cell("digits", "iaf", share=0.2, seed=seed)


def _is_slow(dataset: str, num_samples: int = 1, **_: Any) -> bool:
    return num_samples > 1 and dataset == "fashion_mnist"


def _settings() -> Iterator[dict[str, Any]]:
    scale = {
        flow: "1_K" if FLOWS[flow].kind == "direct" else "1" for flow in STEPS
    }
    share = {
        flow: _SHARE if FLOWS[flow].kind == "autoregressive" else 0.0
        for flow in STEPS
    }
    chosen = {
        flow: {"flow": flow, "scale": scale[flow], "share": share[flow]}
        for flow in STEPS
    }
    yield from chosen.values()
    for flow in STEPS:  # annealed or not, the other way round
        yield {**chosen[flow], "share": 0.0 if share[flow] else _SHARE}
    for flow in STEPS:  # the other scale
        other = "1" if scale[flow] == "1_K" else "1_K"
        yield {**chosen[flow], "scale": other}
    for flow in STEPS:
        yield {**chosen[flow], "estimator": _REPARAMETERIZED}
    for estimator in (_REPARAMETERIZED, _LANDING):
        yield {"flow": "none", "estimator": estimator}
    for estimator in (_REPARAMETERIZED, _DOUBLY):
        yield {**chosen["planar"], "estimator": estimator, "num_samples": 5}
    yield {"flow": "none", "share": _SHARE}
    yield {**chosen["iaf"], "share": 2 * _SHARE}
    yield {**chosen["planar"], "scale": "1_sqrtK"}
    yield {**chosen["sylvester_orthogonal"], "scale": "1_sqrtK"}


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = command.parser(
        "defaults", "Trains with settings that may be the library's defaults."
    )
    command.add_shared(parser, "workdir", "results")
    add = parser.add_argument
    add("--datasets", nargs="+", choices=DATASETS, default=tuple(DATASETS))
    add("--data_dir", help="TFDS folder; default: $TFDS_DATA_DIR, or TFDS's")
    command.add_shared(parser, "variant")
    arguments = command.parse(parser, argv)
    run_images(list(cells(arguments.datasets)), arguments)


if __name__ == "__main__":
    main()
