"""Keeps what README.md needs of a finished run on images: results/ is small.

    python -m trainers.images.keep --workdir=runs/mnist_planar40 \
        --results=results/mnist/planar_K40_seed0

Copies results.json and the figures; per_image.npz is written anew with the
bounds alone, in float32. Where an evaluation by an earlier version has not
noted how steep the end of the validation curve is, metrics.jsonl of the workdir
says so: to keep such a run again is all that it takes, no training and no
evaluation.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainers.runs import errors
from trainers.runs import workdir as workdirs

__all__ = ["FIGURES", "keep", "main"]

FIGURES = (
    "samples",
    "reconstructions",
    "latent_traversals",
    "learning_curve",
)


def keep(workdir: str, results: str, figures: Sequence[str] = FIGURES) -> None:
    """Copies a run's results; results.json last, as the sign of a whole copy.

    Args:
      workdir: of a run on images that has been evaluated.
      results: directory to write to; made if it does not exist.
      figures: which pictures to copy.

    Raises:
      InputError: if the run has no results, or none that can be read.
      StorageError: if a file could not be written.
    """
    try:
        found = workdirs.read_json(os.path.join(workdir, "results.json"))
        bound = found.get("bound", "elbo")
        if "validation_nats_per_step" not in found:
            log = workdirs.MetricsLog(workdir)
            found["validation_nats_per_step"] = log.last_slope(f"val_{bound}")
        names = [bound]
        names += [
            f"iwae_{found[key]}"
            for key in ("num_importance_samples", "fewer_importance_samples")
            if found.get(key)
        ]
        path = os.path.join(workdir, "per_image.npz")
        with (
            tf.io.gfile.GFile(path, "rb") as file,
            np.load(io.BytesIO(file.read())) as arrays,
        ):
            bounds = {name: arrays[name].astype(np.float32) for name in names}
        pictures = {}
        for name in figures:
            path = os.path.join(workdir, "figures", f"{name}.png")
            with tf.io.gfile.GFile(path, "rb") as file:
                pictures[os.path.join("figures", f"{name}.png")] = file.read()
    except (tf.errors.OpError, OSError, ValueError, KeyError) as error:
        raise errors.InputError(
            "`workdir` must hold an evaluated run on images; got "
            f"{workdir!r} ({getattr(error, 'message', error)})."
        ) from error
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **bounds)
    for name, content in {
        "per_image.npz": buffer.getvalue(),
        **pictures,
    }.items():
        path = os.path.join(results, name)
        with workdirs.writing(path):
            tf.io.gfile.makedirs(os.path.dirname(path))
            with tf.io.gfile.GFile(path, "wb") as file:
                file.write(content)
    path = os.path.join(results, "results.json")
    with workdirs.writing(path):
        workdirs.write_json(path, found)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m trainers.images.keep")
    parser.add_argument("--workdir", required=True, help="of the run")
    parser.add_argument("--results", required=True, help="where to copy it")
    parser.add_argument(
        "--figures", nargs="*", choices=FIGURES, default=FIGURES
    )
    arguments = parser.parse_args(argv)
    try:
        keep(arguments.workdir, arguments.results, arguments.figures)
    except (errors.InputError, errors.StorageError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
