"""The measuring processes of `long_flow`, one task each.

Two tasks: `first_step` builds one case and times its first training steps;
`steps` times the steps of several cases, interleaved.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks import _measure
from benchmarks._dlgm_sizes import Sizes
from benchmarks._dlgm_step import TrainingStep

__all__ = ["first_step", "steps", "versions"]

_NUM_BATCHES = 4


def first_step(
    variant: str,
    mode: str,
    num_flow_steps: int,
    sizes: Sizes,
    num_steps: int,
) -> dict[str, Any]:
    """Times the first step of a case, from building its variables to its loss.

    The `num_steps` steps after it are timed too, alone in this process; they
    serve only where a case cannot take part in `steps`.
    """
    batches = _batches(sizes)
    import_memory = _measure.peak_memory_mib()
    start = time.perf_counter()
    step = TrainingStep(
        variant, num_flow_steps, jit_compile=mode == "xla", sizes=sizes
    )
    loss = step(*batches[0])
    seconds = time.perf_counter() - start
    _check_finite(loss, variant, mode)
    milliseconds = [
        _timed(step, batches[i % _NUM_BATCHES])[0] for i in range(num_steps)
    ]
    return {
        "first_step_seconds": seconds,
        "first_loss": loss,
        "step_milliseconds": milliseconds,
        "peak_memory_mib": _measure.peak_memory_mib(),
        "import_memory_mib": import_memory,
        "versions": versions(),
    }


def steps(
    cases: list[tuple[str, str]],
    num_flow_steps: int,
    sizes: Sizes,
    num_steps: int,
    num_warmup_steps: int,
) -> dict[str, Any]:
    """Times `num_steps` rounds, in each of which every case takes one step.

    The cases take turns in an order shuffled for every round, so that what
    disturbs the machine, or what a case leaves in the processor's caches,
    falls on all of them alike.
    """
    batches = _batches(sizes)
    training_steps = [
        TrainingStep(
            variant, num_flow_steps, jit_compile=mode == "xla", sizes=sizes
        )
        for variant, mode in cases
    ]
    order = list(range(len(cases)))
    rng = random.Random(0)
    milliseconds: list[list[float]] = [[] for _ in cases]
    for i in range(num_warmup_steps + num_steps):
        rng.shuffle(order)
        for j in order:
            elapsed, loss = _timed(training_steps[j], batches[i % _NUM_BATCHES])
            if i >= num_warmup_steps:
                milliseconds[j].append(elapsed)
            _check_finite(loss, *cases[j])
    return {"step_milliseconds": milliseconds, "versions": versions()}


def versions() -> dict[str, str]:
    """Versions of what is measured."""
    import numpy as np
    import tensorflow_probability as tfp

    import tfp_flows

    return {
        "python": sys.version.split()[0],
        "tensorflow": tf.__version__,
        "tensorflow_probability": tfp.__version__,
        "numpy": np.__version__,
        "tfp_flows": tfp_flows.__version__,
    }


def _batches(sizes: Sizes) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """A few random binary images, each with its noise."""
    batches = []
    for i in range(_NUM_BATCHES):
        uniform = tf.random.stateless_uniform(
            [sizes.batch, sizes.pixels], [i, 1]
        )
        eps = tf.random.stateless_normal([sizes.batch, sizes.latent], [i, 2])
        batches.append((tf.cast(uniform < 0.5, tf.float32), eps))
    return batches


def _timed(
    step: TrainingStep, batch: tuple[tf.Tensor, tf.Tensor]
) -> tuple[float, float]:
    start = time.perf_counter()
    loss = step(*batch)
    return 1e3 * (time.perf_counter() - start), loss


def _check_finite(loss: float, variant: str, mode: str) -> None:
    if not abs(loss) < float("inf"):
        raise FloatingPointError(
            f"`loss` of {variant} ({mode}) must be finite; got {loss}."
        )


def main(task_file: str, result_file: str) -> None:
    """Reads a task, runs it and writes its values."""
    task = json.loads(Path(task_file).read_text())
    function = {"first_step": first_step, "steps": steps}[task.pop("task")]
    task["sizes"] = Sizes(*task["sizes"])
    Path(result_file).write_text(json.dumps(function(**task)))


if __name__ == "__main__":
    main(*sys.argv[1:])
