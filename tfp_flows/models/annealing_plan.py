"""The annealing of a model that is told how many updates there will be."""

from typing import Any

import keras

from tfp_flows import schedules
from tfp_flows._arguments import as_positive_integer

__all__ = ["AnnealingPlan"]

_NONE = schedules.NoAnnealing()


class AnnealingPlan:
    """A schedule, given or by default, whose length may be a share.

    Until the number of updates is known, the default does not anneal, and a
    given share is refused where it is asked. What is over is not begun again.

    Attributes:
      given: a schedule, or "auto".
      is_over: whether annealing over a share of the updates has ended.
    """

    def __init__(
        self,
        given: str | schedules.Annealing | None,
        default: schedules.Annealing,
    ) -> None:
        """Makes the plan, before the number of updates is known.

        Args:
          given: what `schedules.get` takes, or "auto".
          default: what "auto" stands for.

        Raises:
          ValueError: `given` is none of these.
        """
        if not isinstance(given, str) or given != "auto":
            given = schedules.get(given)
        self.given: str | schedules.Annealing = given
        self.is_over = False
        self._asked = default if isinstance(given, str) else given
        self._planned: schedules.Annealing | None = None

    @property
    def schedule(self) -> schedules.Annealing:
        """What was given, of known length once it is planned."""
        return self._planned or self._asked

    @property
    def in_force(self) -> schedules.Annealing:
        """What the next update follows."""
        is_open = self._planned is None and isinstance(self.given, str)
        return _NONE if self.is_over or is_open else self.schedule

    def plan(self, num_updates: int | None, step: int) -> bool:
        """Takes the number of updates in; returns whether it makes a length.

        Args:
          num_updates: of the whole training; None if nobody knows.
          step: updates that there were before.

        Raises:
          ValueError: `num_updates` is not a positive integer, or it is None,
            and a share was given.
        """
        if num_updates is not None:
            num_updates = as_positive_integer("num_updates", num_updates)
        self.settle(step)
        if self.is_over:
            return True
        if num_updates is None and isinstance(self.given, str):
            is_none = isinstance(self._asked, schedules.NoAnnealing)
            return self._planned is not None or is_none
        self._planned = self._asked.planned(num_updates)
        return True

    def settle(self, step: int) -> None:
        """Notes whether annealing over a share was over by this step."""
        if (
            step > 0
            and self._planned is not None
            and self._planned is not self._asked
            and not self.anneals(step)
        ):
            self.is_over = True

    def anneals(self, step: int) -> bool:
        """Whether the update after so many has other weights than 1."""
        return any(float(w) != 1.0 for w in self.in_force.weights(step))

    def get_config(self) -> dict[str, Any]:
        """What is known beyond what was given."""
        if self._planned is None or self._planned is self._asked:
            return {}
        planned = keras.saving.serialize_keras_object(self._planned)
        return {"planned": planned, "is_over": self.is_over}

    def restore(self, config: dict[str, Any]) -> None:
        """Goes on with what `get_config` returned."""
        if config:
            self._planned = keras.saving.deserialize_keras_object(
                config["planned"]
            )
            self.is_over = config["is_over"]
