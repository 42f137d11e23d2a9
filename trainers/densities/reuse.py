"""One compiled model for runs that differ in the split of their data alone."""

import json
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from ml_collections import config_dict

from trainers.densities import build
from trainers.densities.data import DensityData
from trainers.runs.train_steps import TrainSteps

__all__ = ["Reuse"]


class Reuse:
    """Sets the last model back to its initial values, where it serves again.

    The initial values depend on `training.seed`, not on the data, so a run ends
    with the same numbers as on a model of its own; what was compiled stays.
    """

    def __init__(self) -> None:
        """Without any model yet."""
        self._key = ""
        self._model: keras.Model | None = None
        self._steps: TrainSteps | None = None
        self._initial: list[tuple[tf.Variable, tf.Tensor]] = []

    def make_model(
        self, config: config_dict.ConfigDict, data: DensityData
    ) -> keras.Model:
        """A model as at the first step: the last one, compiled, or a new one.

        Args:
          config: checked.
          data: what it names.
        """
        key = _key(config, data)
        if key != self._key:
            self._key, self._model, self._steps = key, None, None
        if self._model is None:
            return build.build_model(config, data)
        for variable, value in self._initial:
            variable.assign(value)
        build.adapt(self._model, config, data)
        return self._model

    def keep(self, model: keras.Model) -> None:
        """Remembers a new model, which is compiled, and its initial values."""
        if model is self._model:
            return
        self._model = model
        variables = [
            *model.variables,
            *model.metrics_variables,
            *model.optimizer.variables,
        ]
        self._initial = [
            (variable.value, tf.identity(variable.value))
            for variable in variables
        ]

    def compiled_steps(self, make: Callable[[], TrainSteps]) -> TrainSteps:
        """The compiled steps of the model; they are made if there are none."""
        if self._steps is None:
            self._steps = make()
        return self._steps


def _key(config: config_dict.ConfigDict, data: DensityData) -> str:
    """Equal for configs and data of which equal models are made."""
    settings: dict[str, Any] = config.to_dict()
    settings["data"].pop("split", None)
    settings.pop("evaluation")
    return json.dumps([settings, data.shapes], sort_keys=True)
