"""The tables on Hamiltonian posteriors."""

import statistics
from collections.abc import Sequence
from typing import Any

from trainers.report import benchmarks, image_runs, text

__all__ = ["hamiltonian"]

Run = dict[str, Any]
Results = Sequence[Run]


def hamiltonian(results: Results) -> str:
    """What bridges gain on the digits, and what each of them costs.

    Args:
      results: contents of results.json files; other experiments are ignored.

    Returns:
      Markdown tables and their captions.
    """
    return f"{_digits(results)}\n\n{benchmarks.hamiltonian(results)}"


def _digits(results: Results) -> str:
    """With bridges, with a flow and with neither, and paired differences."""
    runs = [
        run
        for run in image_runs.trained_dlgms(results)
        if run["dataset"] == "digits" and "per_image" in run
    ]
    pairs = [
        (run, other)
        for run in runs
        for other in runs
        if run.get("posterior") == "hamiltonian"
        and other.get("posterior", "flow") == "flow"
        and _conditions(run) == _conditions(other)
    ]
    if not pairs:
        return "Not measured: no pair of runs with Hamiltonian bridges and not."
    pairs.sort(key=lambda pair: (*map(_name, pair), pair[0]["seed"]))
    models: dict[str, dict[int, Run]] = {}
    for side in (1, 0):
        for pair in pairs:
            run = pair[side]
            models.setdefault(_name(run), {})[run["seed"]] = run
    iwae = image_runs.iwae_name(pairs[0][0])
    names = (image_runs.bound_name, image_runs.iwae_name)
    header = ["posterior", "weights", "seeds", "bound", iwae, "ms", "ms are of"]
    rows = [
        [
            name,
            text.joined(f"{run['num_parameters']:,}" for run in model.values()),
            text.joined(model),
            *(
                text.mean_and_error([run[of(run)] for run in model.values()])
                for of in names
            ),
            _milliseconds(list(model.values())),
            text.hardware(model.values()),
        ]
        for name, model in models.items()
    ]
    lines = [*text.table(header, rows, 1), ""]
    rows = []
    for words in dict.fromkeys(map(_difference_in_words, pairs)):
        group = [pair for pair in pairs if _difference_in_words(pair) == words]
        rows += [
            [words, *row] for row in image_runs.difference_rows(group, names)
        ]
    lines += text.table(["difference", "seed", "bound", iwae], rows, 1)
    compared = [run for model in models.values() for run in model.values()]
    return "\n".join([*lines, "", _caption(compared)])


def _conditions(run: Run) -> tuple[Any, ...]:
    """What runs share that are compared: all but the posterior."""
    model = run["config"]["model"]
    return (
        *image_runs.conditions(run),
        image_runs.prior_in_brief(run),
        *(model[k] for k in ("latent_size", "hidden_units", "activation")),
    )


def _name(run: Run) -> str:
    return image_runs.flow_in_words(run).removeprefix("no flow, ")


def _difference_in_words(pair: tuple[Run, Run]) -> str:
    return " - ".join(map(_name, pair))


def _milliseconds(runs: Results) -> str:
    seconds = [run["seconds_per_step"] for run in runs]
    measured = [value for value in seconds if value is not None]
    return f"{1e3 * statistics.median(measured):.1f}" if measured else "-"


def _caption(runs: Results) -> str:
    first = runs[0]
    return (
        f"Nats per image, higher is better, after {first['num_steps']:,} steps "
        "([config](configs/digits.py)); encoders and decoders are equal, of "
        f"{first['config']['model']['activation']} units. The bound is the "
        "ELBO, with bridges the lower one that is trained by, with "
        f"{first['num_elbo_samples']} samples of each image; "
        f"{image_runs.iwae_name(first)} is by importance sampling, with "
        "bridges by the weights of whole paths. Above are means over seeds and "
        "their standard errors, of means over the test images; the ms are the "
        "median step, which other load on the processor makes longer. "
        f"{image_runs.CAPTION_OF_DIFFERENCES} "
        f"{image_runs.protocols(runs)} {text.provenance(runs)}"
    )
