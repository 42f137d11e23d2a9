"""What is trained on images, and on which: a run, before its first step."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from ml_collections import config_dict

from trainers import flows, posterior_layers
from trainers.images import build, data, sources
from trainers.runs import errors, loop
from trainers.runs.training_run import TrainingRun

__all__ = ["ImageRun", "check_config"]

_NOT_NEGATIVE = (
    "stop_after_steps",
    "validation_steps",
    "early_stopping_patience",
)


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses settings of the loop that cannot be run.

    Args:
      config: as made by `configs/image_defaults.py`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    loop.check_config(config)
    settings = config.training
    for name in _NOT_NEGATIVE:
        if settings[name] < 0:
            raise errors.InputError(
                f"`training.{name}` must be at least 0; got {settings[name]}."
            )
    if settings.validation_steps % settings.log_steps:
        raise errors.InputError(
            "`training.validation_steps` must be a multiple of "
            f"`training.log_steps`, {settings.log_steps}; "
            f"got {settings.validation_steps}."
        )
    if settings.early_stopping_patience and not settings.validation_steps:
        raise errors.InputError(
            "`training.early_stopping_patience` must be 0 without validation; "
            f"got {settings.early_stopping_patience}."
        )


class ImageRun(TrainingRun):
    """A DLGM, and the images that it is trained and validated on."""

    num_digits = 2

    def __init__(
        self,
        config: config_dict.ConfigDict,
        splits: sources.ImageSplits,
        strategy: tf.distribute.Strategy,
    ) -> None:
        """Makes everything as at the first step.

        Args:
          config: as made by `configs/image_defaults.py`, checked.
          splits: the images that it names.
          strategy: where to compute.
        """
        super().__init__(config, strategy, build.build_model)
        self.splits = splits
        self._validation_images = data.evaluation_images(
            splits, config, "validation"
        )

    @property
    def watched(self) -> str:
        """The ELBO, or the bound on it where the posterior has no density."""
        return self.model.bound_names[0]

    @property
    def description(self) -> str:
        """What is trained on what, for the log."""
        posterior, prior = self.config.posterior, self.config.prior
        return (
            f"{self.config.data.dataset}: posterior with "
            f"{posterior_layers.in_words(posterior)}, "
            f"prior with {flows.in_words(prior.flow, prior.num_flow_steps)}"
        )

    def batches(self, first_step: int) -> Iterator[Any]:
        """The batches of images from a step on."""
        dataset = data.training_dataset(self.splits, self.config, first_step)
        return iter(self.strategy.experimental_distribute_dataset(dataset))

    @property
    def validation_steps(self) -> int:
        """Steps between two validations; 0: there are none."""
        has_images = len(self._validation_images) > 0
        return self.config.training.validation_steps if has_images else 0

    def validate(self) -> dict[str, float]:
        """Means over the validation images, by name."""
        means = self.model.evaluate(
            self._validation_images,
            batch_size=self.config.evaluation.batch_size,
            verbose=0,
            return_dict=True,
        )
        return {name: float(value) for name, value in means.items()}

    @property
    def last_step(self) -> int:
        """Where training ends, at the latest."""
        settings = self.config.training
        return min(
            settings.num_steps, settings.stop_after_steps or settings.num_steps
        )

    @property
    def stopped_early(self) -> bool:
        """Whether the validations since the best one were too many."""
        patience = self.config.training.early_stopping_patience
        return bool(patience) and int(self.progress.num_worse) >= patience
