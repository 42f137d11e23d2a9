"""Colour patches of 8 by 8 pixels of CIFAR-10, logit-normal.

Rezende and Mohamed (2015), section 6.3, Table 3: a flow of K steps, 30 latents,
pixels clipped to [1e-4, 1 - 1e-4], and no noise added to them.

    python -m trainers.main --workdir=runs/patches_planar10 \
        --config=configs/cifar10_patches.py:flow=planar,K=10,recipe=paper \
        --data_path=cifar10_patches_8x8.npz

The file has the arrays `train` and `test`, 50,000 and 10,000 patches, uint8.
`configs/image_defaults.py` says what the argument may be.
"""

from ml_collections import config_dict

from configs import image_defaults

_PAPER = {
    "data.name": "cifar10_patches",
    "data.binarization": "none",
    "model.likelihood": "logit_normal",
    "model.latent_size": 30,
}


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    return image_defaults.get_config("npz", arg, every=_PAPER)
