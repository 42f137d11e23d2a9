"""Refuses configs of fits that cannot be run."""

from ml_collections import config_dict

from tfp_flows import losses
from trainers import checks
from trainers.runs import loop

__all__ = ["check_config"]


def check_config(config: config_dict.ConfigDict, event_size: int) -> None:
    """Refuses a config that cannot be run.

    Args:
      config: as made by `configs/energy_2d.py`.
      event_size: D, of the target.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    checks.check_posterior(config, event_size)
    loop.check_config(config)
    checks.one_of(
        config, "training.gradient_estimator", losses.GRADIENT_ESTIMATORS
    )
    checks.at_least(
        config,
        1,
        "training.num_samples",
        "evaluation.num_samples",
        "evaluation.batch_size",
        "evaluation.num_auxiliary_samples",
        "evaluation.auxiliary_batch_size",
        "evaluation.grid_size",
        "evaluation.num_bins",
    )
    checks.positive(config, "optimizer.learning_rate", "evaluation.half_width")
    checks.not_negative(
        config,
        "training.seed",
        "training.annealing_steps",
        "optimizer.warmup_steps",
        "optimizer.final_fraction",
        "optimizer.global_clipnorm",
    )
