"""The table on amortised posteriors of simulators."""

from collections.abc import Sequence
from typing import Any

from trainers.report import text

__all__ = ["sbibm"]

Run = dict[str, Any]
_TASKS = ("two_moons", "gaussian_mixture", "slcp")


def sbibm(results: Sequence[Run]) -> str:
    """Two-sample tests against reference draws, by task and simulations.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      A Markdown table, its caption and a picture.
    """
    runs = [run for run in results if run.get("experiment") == "sbibm"]
    if not runs:
        return "Not measured: no results.json of `trainers.sweeps.sbibm`."

    def order(run: Run) -> tuple[int, int, int]:
        num_simulations = run["config"]["data"]["num_simulations"]
        return _TASKS.index(run["dataset"]), num_simulations, run["seed"]

    runs = sorted(runs, key=order)
    header = [
        *("task", "simulations", "C2ST", "lowest", "highest", "MMD²"),
        *("ln q(θ given x)", "step", "seconds"),
    ]
    rows = [
        [
            run["dataset"].replace("_", " "),
            f"{run['config']['data']['num_simulations']:,}",
            f"{run['mean_c2st']:.3f}",
            f"{min(run['c2st']):.3f}",
            f"{max(run['c2st']):.3f}",
            f"{run['mean_mmd2']:.5f}",
            f"{run['log_likelihood']:.3f} ± "
            f"{run['log_likelihood_standard_error']:.3f}",
            f"{run['evaluated_step']:,}",
            f"{run['seconds']:.0f}",
        ]
        for run in runs
    ]
    return "\n".join(
        [*text.table(header, rows, 1), "", _caption(runs), *_picture(runs)]
    )


def _caption(runs: Sequence[Run]) -> str:
    draws = text.joined(f"{run['num_reference_draws']:,}" for run in runs)
    models = text.joined(run["model"] for run in runs)
    return (
        "C2ST: the accuracy of a classifier that tells the flow's draws from "
        f"the package's {draws} reference draws; 0.5 is the best there can be. "
        "Its mean, lowest and highest value over the ten observations; MMD² "
        "likewise, the mean alone; ln q of the parameters of fresh "
        "simulations, in nats; the step that validation chose and the seconds "
        f"of the training ([config](configs/sbibm.py); {models}, behind the "
        "bijector onto the prior's cube; one model for all observations; seed "
        f"{text.joined(run['seed'] for run in runs)}). "
        f"{text.provenance(runs)}"
    )


def _picture(runs: Sequence[Run]) -> list[str]:
    """The posteriors of the last run: the hardest task, most simulations."""
    path = runs[-1]["pictures"].get("posteriors")
    if path is None:
        return []
    task = runs[-1]["dataset"].replace("_", " ")
    return ["", f"![Reference draws and the flow's, of {task}]({path})"]
