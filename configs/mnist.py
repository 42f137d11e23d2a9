"""Binarised MNIST, 59,000 / 1,000 / 10,000 images of 28 by 28 pixels.

Rezende and Mohamed (2015), section 6.2, Table 2 and Figure 4: a deep latent
Gaussian model whose posterior is a flow of K steps.

    python -m trainers.main --workdir=runs/mnist_planar40 \
        --config=configs/mnist.py:flow=planar,K=40 --data_dir=<TFDS folder>

`configs/image_defaults.py` says what the argument may be. With `recipe=paper`
training takes all 60,000 images and there is no validation.
"""

from ml_collections import config_dict

from configs import image_defaults


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    return image_defaults.get_config("mnist", arg)
