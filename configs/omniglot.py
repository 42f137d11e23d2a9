"""Omniglot, characters of 28 by 28 pixels, binarised.

    python -m trainers.main --workdir=runs/omniglot \
        --config=configs/omniglot.py:flow=iaf,K=4 \
        --data_path=omniglot_28x28.npz

The file has the array `images`, and `random_train`, one bool for each: whether
it is for training, here 24,345 of 32,460. The last 1,345 of these, in a random
order, are for validation. `configs/image_defaults.py` says what the argument
may be.
"""

from ml_collections import config_dict

from configs import image_defaults

_DATA = {
    "data.name": "omniglot",
    "data.train_mask": "random_train",
    "data.num_validation": 1_345,
}


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    return image_defaults.get_config("npz", arg, every=_DATA)
