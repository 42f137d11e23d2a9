"""Command line of the trainers: flags in, one run in a workdir out.

    python -m trainers.main --config=configs/digits.py --workdir=runs/digits
    python -m trainers.main --workdir=runs/planar40 --data_dir=data \
        --config=configs/mnist.py:flow=planar,K=40

A key of the config is changed by `--config.optimizer.learning_rate=1e-3`;
`--print_config` shows all keys, and runs nothing. The same command on the same
workdir resumes an interrupted run.

Exit codes: 0, done; 2, bad input, a full disk, or a loss that is not finite,
with one line that says which; 75, another worker stopped answering: the same
command, given to all of them, goes on from the last checkpoint; 130 or 143,
stopped by Ctrl-C or SIGTERM: the state of training is saved, and the same
command goes on from there. A second Ctrl-C aborts at once.
"""

from collections.abc import Sequence

from absl import flags, logging
from ml_collections import config_flags

from trainers.runs import command_line

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Config module and its variant.", lock_config=True
)
_WORKDIR = flags.DEFINE_string(
    "workdir", "", "Directory of this run: new, empty or of the same config."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of TFDS data. Default: $TFDS_DATA_DIR, or TFDS's."
)
_DATA_PATH = flags.DEFINE_string(
    "data_path",
    None,
    "Images of your own: an .npz file or a folder, for configs of images with "
    "dataset=npz or dataset=folder. Becomes --config.data.path.",
)
_PRINT_CONFIG = flags.DEFINE_bool(
    "print_config", False, "Print the resolved config, and run nothing."
)
_MODE = flags.DEFINE_enum(
    "mode",
    "train_and_eval",
    ["train", "eval", "train_and_eval"],
    "Whether to train, to evaluate the best or newest weights, or both.",
)
_STRATEGY = flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "default", "mirrored", "multi_worker", "tpu"],
    "Where to compute: one device, all GPUs of this machine, the workers of "
    "TF_CONFIG, a TPU; auto: these workers, else a TPU, else several GPUs, "
    "else one device.",
)
_TPU = flags.DEFINE_string(
    "tpu", "local", "Name or address of the TPU of --strategy=tpu."
)


def main(_: Sequence[str]) -> None:
    """Hands the flags over."""
    config = _CONFIG.value
    command_line.set_data_path(config, _DATA_PATH.value)
    if _PRINT_CONFIG.value:
        command_line.print_config(config)
        return
    # Imported here: a mistyped flag is answered before TensorFlow is loaded.
    logging.info("Loading TensorFlow.")
    from trainers import run

    run.train_and_evaluate(
        config,
        _WORKDIR.value,
        _STRATEGY.value,
        mode=_MODE.value,
        data_dir=_DATA_DIR.value,
        tpu=_TPU.value,
    )


if __name__ == "__main__":
    command_line.run(main)
