"""MNIST in the fixed binarisation of Larochelle, 50,000 / 10,000 / 10,000.

The data set of most published log-likelihoods on static MNIST. They are lower
or higher than those on dynamically binarised MNIST: compare neither with the
other.

    python -m trainers.main --workdir=runs/static_planar40 \
        --config=configs/binarized_mnist.py:flow=planar,K=40 \
        --data_dir=<TFDS folder>

`configs/image_defaults.py` says what the argument may be. With `recipe=paper`
the validation images join the training ones, 60,000 in all.
"""

from ml_collections import config_dict

from configs import image_defaults


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    config = image_defaults.get_config(
        "binarized_mnist", arg, {"data.num_validation": 10_000}
    )
    config.data.binarization = "static"  # the images are binary as they are
    return config
