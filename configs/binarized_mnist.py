"""MNIST in the fixed binarisation of Larochelle, 50,000 / 10,000 / 10,000.

The data set of most published log-likelihoods on static MNIST. They are lower
or higher than those on dynamically binarised MNIST: compare neither with the
other.

    python -m trainers.main --workdir=runs/static_planar40 \
        --config=configs/binarized_mnist.py:flow=planar,K=40 \
        --data_dir=<TFDS folder>

`configs/image_defaults.py` says what the argument may be. With `recipe=paper`
the validation images join the training ones, 60,000 in all.

`model=made,hidden=500,layers=1,masks=1` is MADE (Germain et al. 2015), an
autoregressive density without latents; `order=raster` is that of the pixels
instead of random ones, `runlocal` makes it tiny. The paper has -ln p = 88.40
nats for one hidden layer and one set of masks, 88.04 for 32 sets.
"""

from ml_collections import config_dict

from configs import density_defaults, image_defaults, variants

NAME = "binarized_mnist"
ORDERS = ("random", "raster")  # of the pixels, for `model=made`


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    if "model=made" in (arg or "").split(","):
        return _made(arg)
    # The images are binary as they are.
    return image_defaults.get_config(
        NAME,
        arg,
        {"data.num_validation": 10_000},
        {"data.binarization": "static"},
    )


def _made(arg: str | None) -> config_dict.ConfigDict:
    variant = variants.parse_variant(
        arg,
        choices={"model": ("made",), "order": ORDERS},
        positive_ints=("hidden", "layers", "masks"),
        switches=("runlocal",),
    )
    config = density_defaults.get_config(NAME, "made")
    config.data.num_validation = 10_000  # last of the images not for testing

    units, num_layers = variant.get("hidden", 500), variant.get("layers", 1)
    config.model.hidden_units = (units,) * int(num_layers)
    config.model.activation = "relu"  # the paper's
    # Sets of masks, drawn once, which training takes in turn; the density is
    # their mean.
    config.model.num_masks = variant.get("masks", 1)
    config.model.order = variant.get("order", "random")  # one for each set
    config.model.direct_connections = True  # of pixels to logits

    training = config.training
    # One set of masks soon fits the training images too well, many hardly do.
    one_set = config.model.num_masks == 1
    training.num_steps = 10_000 if one_set else 25_000  # 20 and 50 epochs
    training.batch_size = 100
    training.steps_per_execution = 100
    training.log_steps = 500  # an epoch
    # The density of several sets of masks costs as many passes.
    training.validation_steps = 500 if one_set else 2_500
    training.checkpoint_steps = 5_000
    training.early_stopping_patience = 10  # validations

    config.optimizer.learning_rate = 3e-3
    config.optimizer.weight_decay = 0.3 if one_set else 0.05
    config.evaluation.batch_size = 1_000
    if variant.get("runlocal"):
        training.num_steps = 100
        training.steps_per_execution = 10
        training.log_steps = 20
        training.validation_steps = 40
        training.checkpoint_steps = 50
        config.optimizer.warmup_steps = 10
    return config
