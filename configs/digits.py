"""The 8 by 8 digits that scikit-learn brings along: no download, a minute.

1,797 images, of which 1,297 / 200 / 300 in a fixed shuffled order. Small
networks and few latents for small images.

    python -m trainers.main --config=configs/digits.py --workdir=runs/digits

`configs/image_defaults.py` says what the argument may be. With `recipe=paper`
the networks are as large as for MNIST, and training takes all 1,497 images.
"""

from ml_collections import config_dict

from configs import image_defaults

MODERN = {
    "data.num_validation": 200,
    "model.latent_size": 10,
    "model.stochastic_hidden_units": (64,),
    "model.hidden_units": (128, 128),
    "posterior.num_flow_steps": 16,
    "training.num_steps": 10_000,  # 833 epochs of 1,200 images
    "training.log_steps": 100,
    "training.validation_steps": 500,
    "training.checkpoint_steps": 2_000,
    "optimizer.learning_rate": 1e-3,
    "optimizer.warmup_steps": 500,
    "evaluation.num_elbo_samples": 64,
    "evaluation.num_importance_samples": 1_000,
    "evaluation.num_images": 300,  # all test images
}


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    """Returns the configuration, with the variant that `arg` names."""
    config = image_defaults.get_config("digits", arg, MODERN)
    config.evaluation.num_images = min(config.evaluation.num_images, 300)
    return config
