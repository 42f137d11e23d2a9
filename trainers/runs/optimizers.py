"""The optimizer that a config describes."""

import keras
from ml_collections import config_dict

__all__ = ["build_optimizer"]


def build_optimizer(config: config_dict.ConfigDict) -> keras.Optimizer:
    """Adam or RMSprop, warmed up linearly and then cooled along a cosine.

    Without the keys `name` and `weight_decay` it is plain Adam.

    Args:
      config: with the group `optimizer`, and `training.num_steps`.
    """
    settings = config.optimizer
    warmup_steps = min(settings.warmup_steps, config.training.num_steps // 2)
    learning_rate = settings.learning_rate
    if warmup_steps or settings.final_fraction != 1.0:
        learning_rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup_steps else learning_rate,
            decay_steps=config.training.num_steps - warmup_steps,
            alpha=settings.final_fraction,
            warmup_target=learning_rate if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    clipnorm = settings.global_clipnorm or None
    if settings.get("name") == "rmsprop":
        return keras.optimizers.RMSprop(
            learning_rate,
            rho=settings.rho,
            momentum=settings.momentum,
            global_clipnorm=clipnorm,
        )
    return keras.optimizers.Adam(
        learning_rate,
        beta_2=settings.beta_2,
        weight_decay=settings.get("weight_decay") or None,
        global_clipnorm=clipnorm,
    )
