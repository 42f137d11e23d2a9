"""What the loop of a training asks of the model that it trains."""

import abc
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from absl import logging
from ml_collections import config_dict

from trainers.runs import checkpoints, devices, optimizers, train_steps

__all__ = ["TrainingRun"]


class TrainingRun(abc.ABC):
    """A model in training: its optimizer, its progress, and its last step.

    The model's `train_step` takes a batch, or nothing where there are no
    batches, and keeps running means. Its next step must depend on nothing but
    weights, optimizer and the step's number.

    Attributes:
      num_digits: of `watched`, behind its decimal point.
      devices: where it is trained.
    """

    num_digits: int

    def __init__(
        self,
        config: config_dict.ConfigDict,
        strategy: tf.distribute.Strategy,
        make_model: Callable[[config_dict.ConfigDict], keras.Model],
    ) -> None:
        """Makes everything as at the first step.

        Args:
          config: with groups `training` and `optimizer`, checked.
          strategy: where to compute.
          make_model: from the config to a model with weights; one that is
            compiled already is as at the first step, its optimizer too.
        """
        self.config = config
        self.devices = devices.Devices(strategy)
        with strategy.scope():
            jit_compile = config.training.jit_compile
            if jit_compile and not self.devices.may_compile:
                if not isinstance(strategy, tf.distribute.TPUStrategy):
                    logging.info("XLA is off: it cannot compile for replicas.")
                jit_compile = False
            self.model = make_model(config)
            if not self.model.compiled:
                self.model.compile(
                    optimizers.build_optimizer(config), jit_compile=jit_compile
                )
                self.model.optimizer.build(self.model.trainable_variables)
        self.progress = checkpoints.Progress()

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """That of its devices."""
        return self.devices.strategy

    @property
    @abc.abstractmethod
    def watched(self) -> str:
        """The running mean that is shown; in validations, higher is better."""

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """What is trained on what, for the log."""

    def batches(self, first_step: int) -> Iterator[Any] | None:
        """The batches from a step on; None if steps need none."""
        del first_step
        return None

    def compiled_steps(self, *, takes_batches: bool) -> train_steps.TrainSteps:
        """What takes the steps; not compiled before the first."""
        return train_steps.TrainSteps(self.model, takes_batches=takes_batches)

    def schedules(self, step: int) -> dict[str, float]:
        """What the log says, by name, beside means and learning rate.

        Here that of the model's schedule `annealing`, if it has one.
        """
        annealing = getattr(self.model, "annealing", None)
        if annealing is None:
            return {}
        return {"annealing": float(annealing.beta(step))}

    @property
    def validation_steps(self) -> int:
        """Steps between two validations; 0: there are none."""
        return 0

    def validate(self) -> dict[str, float]:
        """Means over the validation set, by name."""
        raise NotImplementedError

    @property
    def step(self) -> int:
        """Number of updates so far."""
        return int(tf.convert_to_tensor(self.model.optimizer.iterations))

    @property
    def last_step(self) -> int:
        """Where training ends, at the latest."""
        return self.config.training.num_steps

    @property
    def stopped_early(self) -> bool:
        """Whether the validations since the best one were too many."""
        return False

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.step >= self.last_step or self.stopped_early

    @property
    def num_parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(math.prod(v.shape) for v in self.model.trainable_variables)

    def open_checkpoints(self, workdir: str) -> checkpoints.Checkpoints:
        """The checkpoints of this run."""
        return checkpoints.Checkpoints(
            self.model,
            self.progress,
            workdir,
            self.config.training.checkpoints_to_keep,
            reader=self.devices.reader,
        )

    def open_best_weights(self, workdir: str) -> checkpoints.BestWeights:
        """The best weights of this run."""
        return checkpoints.BestWeights(
            self.model, workdir, reader=self.devices.reader
        )

    def restore(self, workdir: str) -> bool:
        """Restores the newest checkpoint; returns whether there was one.

        Raises:
          InputError: see `Checkpoints.restore`.
        """
        with self.strategy.scope():
            return self.open_checkpoints(workdir).restore()
