"""Binarised Fashion-MNIST, 59,000 / 1,000 / 10,000 images of 28 by 28 pixels.

    python -m trainers.main --workdir=runs/fashion_planar40 \
        --config=configs/fashion_mnist.py:flow=planar,K=40 \
        --data_dir=<TFDS folder>

`configs/image_defaults.py` says what the argument may be. With `recipe=paper`
training takes all 60,000 images and there is no validation.
"""

from ml_collections import config_dict

from configs import image_defaults


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    return image_defaults.get_config("fashion_mnist", arg)
