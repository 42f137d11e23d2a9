"""What a table is: rows that are trained, columns that are measured."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import config_dict

__all__ = ["BUDGETS", "Measure", "Results", "Row", "Table"]

# smoke: a few steps of the first row and of the last one, to see that all
# works; hours: fewer steps; paper: all that the config says.
BUDGETS = ("smoke", "hours", "paper")

Results = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """One run for each seed.

    Attributes:
      words: of its model, for the first column.
      arg: what stands behind the colon of the config.
      get_config: of the config's module.
      published: by source, by the name of the measure.
    """

    words: str
    arg: str
    get_config: Callable[[str], config_dict.ConfigDict]
    published: Mapping[str, Mapping[str, float]] = dataclasses.field(
        default_factory=dict
    )

    @property
    def path(self) -> str:
        """The folder of its runs, but for the seed."""
        module = self.get_config.__module__.rpartition(".")[-1]
        return f"{module}_{self.arg}".replace(",", "_").replace("=", "-")

    def config(
        self, budget: str, seed: int, hours: int
    ) -> config_dict.ConfigDict:
        """Its configuration.

        Args:
          budget: one of `BUDGETS`.
          seed: of the run.
          hours: steps of the budget "hours".
        """
        arg = f"{self.arg},runlocal" if budget == "smoke" else self.arg
        config = self.get_config(arg)
        config.training.seed = seed
        if budget == "hours":
            config.training.num_steps = min(hours, config.training.num_steps)
        elif budget == "smoke":
            _shrink(config)
        return config


def _shrink(config: config_dict.ConfigDict) -> None:
    """A few steps in graph mode, which is made in seconds."""
    config.training.update(
        {
            "num_steps": 20,
            "steps_per_execution": 10,
            "log_steps": 10,
            "checkpoint_steps": 20,
            "jit_compile": False,
        }
    )
    if config.training.get("validation_steps"):
        config.training.validation_steps = 20
    config.optimizer.warmup_steps = min(config.optimizer.warmup_steps, 5)
    for key in ("num_elbo_samples", "num_importance_samples"):
        if key in config.evaluation:
            config.evaluation[key] = 2
    if config.evaluation.get("fewer_importance_samples"):
        config.evaluation.fewer_importance_samples = 1
    if "num_samples" in config.evaluation:
        config.evaluation.num_samples = 2_000
        config.evaluation.batch_size = 1_000
    if "grid_size" in config.evaluation:
        config.evaluation.grid_size = 50


@dataclasses.dataclass(frozen=True)
class Measure:
    """One column: from what results.json holds to a value.

    Attributes:
      name: its header.
      value: of the results; None where there is none.
      standard_error: of the value; None where there is none.
    """

    name: str
    value: Callable[[Results], float | None]
    standard_error: Callable[[Results], float | None] = lambda _: None


@dataclasses.dataclass(frozen=True)
class Table:
    """The runs of a table and its columns.

    Attributes:
      title: a line.
      rows: its runs, in order.
      measures: its columns; the first is drawn.
      hours: steps of the budget "hours".
      note: what readers must know of protocols.
      needs: name of the file that `--data_path` must name; empty: none.
    """

    title: str
    rows: tuple[Row, ...]
    measures: tuple[Measure, ...]
    hours: int
    note: str
    needs: str = ""
