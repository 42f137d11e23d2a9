"""A density in training: a run, before its first step."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import config_dict

from trainers import flows
from trainers.densities import build
from trainers.densities.data import DensityData
from trainers.runs import data_run

__all__ = ["DensityRun"]


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
    ) -> None:
        """Makes everything as at the first step.

        Args:
          config: as made by `configs/density_defaults.py`, checked.
          data: what it names.
          strategy: where to compute.
        """
        make = functools.partial(build.build_model, data=data)
        super().__init__(config, strategy, make)
        self.data = data

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
        parts = tf.nest.flatten(examples)
        found = []
        for first in range(0, len(parts[0]), size):
            batch = tf.nest.map_structure(
                lambda part: part[first : first + size].astype(np.float32),
                examples,
            )
            found.append(self.model.log_prob(batch).numpy())
        return np.concatenate(found).astype(np.float64)


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
