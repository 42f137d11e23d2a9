"""Images of any kind: a set of TFDS, arrays of a file, or files of a folder.

    python -m trainers.main --workdir=runs/faces --data_path=faces.npz \
        --config=configs/images.py:dataset=npz,likelihood=logit_normal
    python -m trainers.main --workdir=runs/svhn --data_dir=<TFDS folder> \
        --config=configs/images.py:dataset=svhn_cropped,likelihood=\
            discretized_logistic,network=conv

Of any size `[H, W]` or `[H, W, C]`. The argument must say

    dataset=npz       `--data_path` names a file with the arrays `train` and
                      `test`, optionally `validation`; or with one array
    dataset=folder    `--data_path` names a folder of PNG, JPEG, BMP or GIF
                      files, with or without folders `train` and `test`
    dataset=<name>    of a data set of TFDS with images of one size

and may say what `configs/image_defaults.py` lists. What is not split already is
split at random, by `data.split_seed`: `data.num_test` images and
`data.num_validation`, or a tenth.
"""

from ml_collections import config_dict

from configs import image_defaults

# Sets may be small: the best weights of a validation are kept, and training
# ends where there are no better ones.
MODERN = {
    "data.num_validation": None,
    "training.num_steps": 30_000,
    "training.validation_steps": 1_000,
    "training.early_stopping_patience": 10,
}


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    return image_defaults.get_config(None, arg, MODERN)
