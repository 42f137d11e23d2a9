"""The training of a model on data, some of which it is validated on."""

import abc
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from trainers.runs import errors, loop
from trainers.runs.training_run import TrainingRun

__all__ = ["DataRun", "check_config"]


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses settings of the loop that cannot be run.

    Args:
      config: with the group `training`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    loop.check_config(config)
    settings = config.training
    for name in ("validation_steps", "early_stopping_patience"):
        if settings[name] < 0:
            raise errors.InputError(
                f"`training.{name}` must be at least 0; got {settings[name]}."
            )
    if settings.validation_steps % settings.log_steps:
        raise errors.InputError(
            "`training.validation_steps` must be a multiple of "
            f"`training.log_steps`, {settings.log_steps}; "
            f"got {settings.validation_steps}."
        )
    if settings.early_stopping_patience and not settings.validation_steps:
        raise errors.InputError(
            "`training.early_stopping_patience` must be 0 without validation; "
            f"got {settings.early_stopping_patience}."
        )


class DataRun(TrainingRun):
    """A model in training on batches of data; it may stop early."""

    @abc.abstractmethod
    def training_dataset(self, first_step: int) -> tf.data.Dataset:
        """The batches of all steps from `first_step` on."""

    @property
    @abc.abstractmethod
    def can_be_validated(self) -> bool:
        """Whether there are data for it."""

    def batches(self, first_step: int) -> Iterator[Any]:
        """The batches from a step on, divided among replicas."""
        dataset = self.training_dataset(first_step)
        return iter(self.strategy.experimental_distribute_dataset(dataset))

    @property
    def validation_steps(self) -> int:
        """Steps between two validations; 0: there are none."""
        settings = self.config.training
        return settings.validation_steps if self.can_be_validated else 0

    @property
    def stopped_early(self) -> bool:
        """Whether the validations since the best one were too many."""
        patience = self.config.training.early_stopping_patience
        return bool(patience) and int(self.progress.num_worse) >= patience

    def take_best_weights(self, workdir: str) -> int:
        """Restores the weights of the best validation, if there were any.

        Args:
          workdir: of the run.

        Returns:
          The step of the weights that the model has now.

        Raises:
          InputError: they cannot be read.
        """
        if not self.was_validated:
            return self.step
        with self.strategy.scope():
            step = self.open_best_weights(workdir).restore()
        self.devices.check_same_step(step, workdir)
        return step

    @property
    def was_validated(self) -> bool:
        """Whether there are best weights."""
        return bool(int(self.progress.best_step))
