"""What becomes of the pixels of a data set under each likelihood."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import config_dict

from tfp_flows.math import noise
from trainers.runs import errors
from trainers.sources.images import ImageSplits

__all__ = [
    "BINARIZATIONS",
    "DEQUANTIZATIONS",
    "Pixels",
    "bits_per_dimension",
    "check_config",
    "protocol",
]

BINARIZATIONS = ("dynamic", "static")
DEQUANTIZATIONS = ("none", "uniform")
_OF_DENSITIES = ("gaussian", "logit_normal")


def check_config(config: config_dict.ConfigDict) -> None:
    """Refuses what does not fit the likelihood, before images are read.

    Args:
      config: as made by `configs/image_defaults.py`.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    settings, likelihood = config.data, config.model.likelihood
    is_binary = likelihood == "bernoulli"
    known = BINARIZATIONS if is_binary else ("none",)
    if settings.binarization not in known:
        raise errors.InputError(
            f"`data.binarization` must be {' or '.join(known)} under the "
            f"likelihood {likelihood}; got {settings.binarization!r}."
        )
    known = DEQUANTIZATIONS if likelihood in _OF_DENSITIES else ("none",)
    if settings.dequantization not in known:
        raise errors.InputError(
            f"`data.dequantization` must be {' or '.join(known)} under the "
            f"likelihood {likelihood}; got {settings.dequantization!r}."
        )


class Pixels:
    """From stored pixels to those that the model is given."""

    def __init__(
        self, splits: ImageSplits, config: config_dict.ConfigDict
    ) -> None:
        """Looks at all pixels.

        Args:
          splits: the images.
          config: as made by `configs/image_defaults.py`, checked.

        Raises:
          InputError: a value lies outside of the likelihood's support.
        """
        self.max_value = splits.max_value
        likelihood = config.model.likelihood
        self.is_binarized = likelihood == "bernoulli" and self.max_value != 1
        self.is_dequantized = (
            config.data.dequantization == "uniform"
            and self.max_value is not None
        )
        if likelihood == "discretized_logistic" and self.max_value != 255:
            raise errors.InputError(
                "`model.likelihood` must not be discretized_logistic, which is "
                f"of whole numbers from 0 to 255, for {splits.name}; got it "
                + (
                    "for floating-point numbers."
                    if self.max_value is None
                    else f"for whole numbers from 0 to {self.max_value}."
                )
            )
        if self.max_value is None and likelihood != "gaussian":
            _check_unit_interval(splits, likelihood)

    def of(
        self, images: tf.Tensor, seed: int, step: tf.Tensor, purpose: str = ""
    ) -> tf.Tensor:
        """What the model is given of some images, float32.

        Args:
          images: as they are stored.
          seed: of the noise.
          step: of the training, or the image's index.
          purpose: of the noise, behind what it does.
        """
        if self.is_binarized:
            binary = self._binary(
                images, seed=seed, step=step, purpose=f"binarisation{purpose}"
            )
            return tf.cast(binary, tf.float32)
        x = tf.cast(images, tf.float32)
        if self.max_value is None:
            return x
        if not self.is_dequantized:
            return x / self.max_value
        u = noise.uniform(
            tf.shape(x),
            seed=seed,
            step=step,
            purpose=f"dequantisation{purpose}",
        )
        return (x + u) / (self.max_value + 1.0)

    def once(self, images: np.ndarray, split: str, seed: int) -> np.ndarray:
        """The same of all images of a split, equal at every call.

        Args:
          images: `[N, ...]`; image i is drawn by (seed, split, i) alone.
          split: its name.
          seed: of the noise.

        Returns:
          `[N, ...]`, uint8 where they are binary, else float32.
        """
        is_kept = self.max_value == 1 and not self.is_dequantized
        if is_kept or not len(images):
            return images
        dataset = tf.data.Dataset.range(len(images)).map(
            lambda index: self.of(
                tf.gather(images, index), seed, index, f" of {split}"
            )
        )
        return np.concatenate(
            [
                batch.astype(np.uint8) if self.is_binarized else batch
                for batch in dataset.batch(1_000).as_numpy_iterator()
            ]
        )

    def _binary(self, images: tf.Tensor, **key: Any) -> tf.Tensor:
        """1 with probability `image / max_value` (to 4e-9), as bools."""
        if self.max_value is None:
            return noise.uniform(tf.shape(images), **key) < images
        # Compares random words with multiples of an integer: half the passes
        # over the images that fractions would take.
        words = noise.words(tf.shape(images), **key)
        unit = tf.constant((2**32 - 1) // self.max_value, tf.uint32)
        return words < tf.cast(images, tf.uint32) * unit


def _check_unit_interval(splits: ImageSplits, likelihood: str) -> None:
    for split in ("train", "validation", "test"):
        images = getattr(splits, split)
        wrong = (images < 0) | (images > 1)
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise errors.InputError(
                f"pixels of {splits.name} must lie in [0, 1] under the "
                f"likelihood {likelihood}; got {images[index]} in image "
                f"{index[0]} of {split} (counted from 0) at {index[1:]}, the "
                f"first of {wrong.sum():,} such values. Scale them, or take "
                "the likelihood gaussian."
            )


def bits_per_dimension(
    splits: ImageSplits, config: config_dict.ConfigDict, nats: float
) -> float | None:
    """Of images that have levels: what it takes to store a pixel of them.

    Args:
      splits: the images.
      config: as made by `configs/image_defaults.py`.
      nats: the log-likelihood of an image, or a bound on it.

    Returns:
      Bits; None of a density of pixels that have no levels, or to which no
      noise was added.
    """
    size = math.prod(splits.image_shape)
    bits = -nats / (size * math.log(2.0))
    if config.model.likelihood in _OF_DENSITIES:
        if not Pixels(splits, config).is_dequantized:
            return None
        bits += math.log2((splits.max_value or 0) + 1)
    return bits


def protocol(
    splits: ImageSplits, config: config_dict.ConfigDict
) -> dict[str, str]:
    """What was done to pixels in training and in evaluation, in words.

    Args:
      splits: the images.
      config: as made by `configs/image_defaults.py`.
    """
    settings = config.data
    pixels = Pixels(splits, config)
    if config.model.likelihood == "bernoulli":
        training = evaluation = "that of the data set"
        if pixels.is_binarized:
            evaluation = (
                "drawn once, P(1) = intensity, seed "
                f"{settings.binarization_seed}"
            )
            training = (
                "drawn anew at every step, P(1) = intensity"
                if settings.binarization == "dynamic"
                else evaluation
            )
        return {
            "training_binarization": training,
            "evaluation_binarization": evaluation,
        }
    words = "as they are"
    if pixels.is_dequantized:
        words = (
            f"(x + U(0, 1)) / {(splits.max_value or 0) + 1}, drawn anew at "
            "every step of training and once for evaluation, seed "
            f"{settings.binarization_seed}"
        )
    elif pixels.max_value:
        words = f"x / {pixels.max_value}"
    return {"pixels": words}
