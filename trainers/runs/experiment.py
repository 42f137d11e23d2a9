"""What an experiment does before a training, and after it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from trainers.runs.training_run import TrainingRun

__all__ = ["Experiment"]


class Experiment(NamedTuple):
    """Four functions, and whether a run takes strategies of several replicas.

    The training between them is that of `loop`.

    `prepare(config, strategy, data_dir)` checks all of them, reads the data and
    returns a function that makes the run. `evaluate(run, workdir)` returns what
    results.json holds, `draw(run, directory, results, workdir)` saves pictures,
    and `summary(results, directory)` is one line for the person who waited.
    """

    prepare: Callable[..., Callable[[], TrainingRun]]
    evaluate: Callable[..., dict[str, Any]]
    draw: Callable[..., None]
    summary: Callable[..., str]
    takes_replicas: bool = True
