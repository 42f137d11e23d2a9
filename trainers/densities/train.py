"""A density in training: a run, before its first step."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import config_dict

from trainers import flows
from trainers.densities import reuse
from trainers.densities.data import DensityData
from trainers.runs import data_run, train_steps

__all__ = ["DensityRun", "in_words"]


class DensityRun(data_run.DataRun):
    """A model of a density, and the data that it is trained and validated on.

    Attributes:
      data: these.
    """

    num_digits = 3
    watched = "log_likelihood"

    def __init__(
        self,
        config: config_dict.ConfigDict,
        data: DensityData,
        strategy: tf.distribute.Strategy,
        models: reuse.Reuse | None = None,
    ) -> None:
        """Makes everything as at the first step.

        Args:
          config: as made by `configs/density_defaults.py`, checked.
          data: what it names.
          strategy: where to compute.
          models: of runs before, which are over. Default: a new model.
        """
        self._models = models or reuse.Reuse()
        make = functools.partial(self._models.make_model, data=data)
        super().__init__(config, strategy, make)
        self._models.keep(self.model)
        self.data = data

    def compiled_steps(self, *, takes_batches: bool) -> train_steps.TrainSteps:
        """Those of the run before, if its model is used again."""
        make = super().compiled_steps
        return self._models.compiled_steps(
            lambda: make(takes_batches=takes_batches)
        )

    @property
    def description(self) -> str:
        """What is trained on what, for the log."""
        return f"{self.data.name}: {in_words(self.config)}"

    def training_dataset(self, first_step: int) -> tf.data.Dataset:
        """The batches from a step on."""
        return self.data.training_dataset(self.config, first_step)

    @property
    def can_be_validated(self) -> bool:
        """Whether there are examples for it."""
        return self.data.num_validation > 0

    def validate(self) -> dict[str, float]:
        """The mean over the validation examples."""
        found = self.log_likelihoods(self.data.validation)
        return {"log_likelihood": float(found.mean())}

    def log_likelihoods(self, examples: Any) -> np.ndarray:
        """`log p(x)` of each example, in nats, float64 `[N]`."""
        size = self.config.evaluation.batch_size
        num_examples = len(tf.nest.flatten(examples)[0])
        found = [
            self.model.log_prob(_rows(examples, slice(first, first + size)))
            for first in range(0, num_examples, size)
        ]
        return np.concatenate(found).astype(np.float64)


def _rows(examples: Any, rows: slice) -> Any:
    return tf.nest.map_structure(
        lambda part: part[rows].astype(np.float32), examples
    )


def in_words(config: config_dict.ConfigDict) -> str:
    """What a reader is told of a model: "4 spline_coupling steps"."""
    settings = config.model
    if settings.name == "made":
        units = " x ".join(f"{n:,}" for n in settings.hidden_units)
        sets = f", {settings.num_masks} sets of masks"
        return f"MADE of {units} units" + sets * (settings.num_masks > 1)
    base = settings.base
    if base == "mixture":
        base = f"mixture of {settings.num_components}"
    flow = flows.in_words(settings.flow, settings.num_flow_steps)
    return f"{flow}, {base} base"
