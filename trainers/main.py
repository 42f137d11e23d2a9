"""Command line of the trainers: flags in, one run in a workdir out.

    python -m trainers.main --workdir=runs/u1 \
        --config=configs/energy_2d.py:target=u1,flow=planar,K=32

A key of the config is changed by `--config.optimizer.learning_rate=1e-3`. The
same command on the same workdir resumes an interrupted run.
"""

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from trainers import command_line

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config module and its variant.", lock_config=True
)
_WORKDIR = flags.DEFINE_string(
    "workdir", "", "Directory of this run: new, empty or of the same config."
)
_MODE = flags.DEFINE_enum(
    "mode",
    "train_and_eval",
    ["train", "eval", "train_and_eval"],
    "Whether to train, to evaluate the newest checkpoint, or both.",
)


def main(_: Sequence[str]) -> None:
    """Hands the flags over."""
    # Imported here: a mistyped flag is answered before TensorFlow is loaded.
    from trainers import run

    run.train_and_evaluate(_CONFIG.value, _WORKDIR.value, mode=_MODE.value)


if __name__ == "__main__":
    command_line.run(main)
