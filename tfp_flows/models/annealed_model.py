"""A model whose bound is annealed over the updates of `fit`."""

import abc
import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfp_flows import schedules
from tfp_flows.models.annealing_plan import AnnealingPlan
from tfp_flows.models.trained_model import TrainedModel, inner_optimizer

__all__ = ["AnnealedModel"]


class AnnealedModel(TrainedModel):
    """A trained model with a schedule, whose length may be a share of `fit`.

    A subclass has `_plan_of`, and sets `annealing` when it is constructed.
    """

    _is_fitting = False
    _fit_updates: int | None = None  # of the `fit` that is on; None: not known

    @property
    def annealing(self) -> schedules.Annealing:
        """The schedule of the free energy's weights; may be set.

        What is set is one of `tfp_flows.schedules`, a name, None, or "auto".
        If its length is a share of the updates, it is known from `fit` on.
        """
        return self._annealing.schedule

    @annealing.setter
    def annealing(self, value: str | schedules.Annealing | None) -> None:
        plan = self._plan_of(value)
        if self._is_fitting:
            plan.plan(self._fit_updates, self._num_updates())
        self._annealing = plan
        self._forget_train_function()

    @abc.abstractmethod
    def _plan_of(
        self, annealing: str | schedules.Annealing | None
    ) -> AnnealingPlan:
        """The plan of what is set; raises a ValueError for what cannot be."""

    def _forget_train_function(self) -> None:
        """Compiled steps have the schedule in them; a `fit` needs new ones."""
        if self._is_fitting and self.train_function is not None:
            self.make_train_function(force=True)
        else:
            self.train_function = None

    def plan_annealing(self, num_updates: int | None) -> None:
        """Says how many updates there will be, if annealing is a share of them.

        `fit` does that. A loop around `train_step` or `train_on_batch` does it
        before its first update. Annealing that is over is not begun again.

        Args:
          num_updates: of the whole training, those before included; None if
            nobody knows: then "auto" does not anneal, and says so once.

        Raises:
          ValueError: it is not a positive integer, or it is None and the share
            was given to the constructor.
        """
        before = self._annealing.in_force
        if not self._annealing.plan(num_updates, self._num_updates()):
            self._said.unknown_length()
        now = self._annealing.in_force
        if now is not before and now != before:
            self._forget_train_function()

    def _num_updates(self) -> int:
        """How many updates there were."""
        optimizer = getattr(self, "optimizer", None)
        if optimizer is None:
            return 0
        return int(tf.convert_to_tensor(optimizer.iterations))  # mirrored too

    @contextlib.contextmanager
    def _fitting(self, num_batches: int | None) -> Iterator[None]:
        optimizer = inner_optimizer(getattr(self, "optimizer", None))
        accumulated = getattr(optimizer, "gradient_accumulation_steps", None)
        updates = num_batches
        if num_batches:
            updates = max(1, num_batches // (accumulated or 1))
        if num_batches != 0:
            self.plan_annealing(updates)
        self._is_fitting, self._fit_updates = True, updates
        try:
            with super()._fitting(num_batches):
                yield
        finally:
            self._is_fitting = False
        plan, step = self._annealing, self._num_updates()
        plan.settle(step)
        ends = getattr(plan.in_force, "num_steps", None) is not None
        if step and ends and plan.anneals(step):
            self._said.still_annealed(plan.in_force, step)

    def get_build_config(self) -> dict[str, Any] | None:
        """That of Keras, and how long annealing takes, for files to go on."""
        config, plan = super().get_build_config(), self._annealing.get_config()
        return {**(config or {}), "annealing": plan} if plan else config

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the model as it was saved."""
        config = dict(config)
        plan = config.pop("annealing", {})
        super().build_from_config(config)
        self._annealing.restore(plan)
