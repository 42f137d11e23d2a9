"""What is trained on images, and on which: a run, before its first step."""

import functools

import tensorflow as tf
from ml_collections import config_dict

from trainers import checks, flows, posterior_layers
from trainers.images import build, data
from trainers.runs import data_run

__all__ = ["ImageRun", "check_config"]


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses settings of the loop that cannot be run.

    Args:
      config: as made by `configs/image_defaults.py`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    data_run.check_config(config)
    checks.at_least(config, 0, "training.stop_after_steps")


class ImageRun(data_run.DataRun):
    """A DLGM, and the images that it is trained and validated on."""

    num_digits = 2

    def __init__(
        self,
        config: config_dict.ConfigDict,
        splits: data.ImageSplits,
        strategy: tf.distribute.Strategy,
    ) -> None:
        """Makes everything as at the first step.

        Args:
          config: as made by `configs/image_defaults.py`, checked.
          splits: the images that it names.
          strategy: where to compute.
        """
        super().__init__(
            config,
            strategy,
            functools.partial(
                build.build_model, image_shape=splits.image_shape
            ),
        )
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
            f"{self.splits.name}: posterior with "
            f"{posterior_layers.in_words(posterior)}, "
            f"prior with {flows.in_words(prior.flow, prior.num_flow_steps)}"
        )

    def training_dataset(self, first_step: int) -> tf.data.Dataset:
        """The batches of images from a step on."""
        return data.training_dataset(self.splits, self.config, first_step)

    @property
    def can_be_validated(self) -> bool:
        """Whether there are validation images."""
        return len(self._validation_images) > 0

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
