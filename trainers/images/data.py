"""From images in memory to the batch of each training step, and test sets."""

from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import config_dict

from tfp_flows.math import noise
from trainers.runs import batches, errors
from trainers.sources.images import IMAGE_SETS, ImageSplits, load_images

__all__ = [
    "BINARIZATIONS",
    "ImageSplits",
    "check_config",
    "evaluation_images",
    "load_images",
    "load_splits",
    "protocol",
    "training_dataset",
]

BINARIZATIONS = ("dynamic", "static")


def check_config(config: config_dict.ConfigDict, num_replicas: int = 1) -> None:
    """Refuses what can be seen to be wrong before the images are read.

    Args:
      config: as made by `configs/image_defaults.py`.
      num_replicas: among which a batch is divided.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    settings = config.data
    if settings.dataset not in IMAGE_SETS:
        raise errors.InputError(
            f"`data.dataset` must be one of {', '.join(IMAGE_SETS)}; "
            f"got {settings.dataset!r}."
        )
    if settings.binarization not in BINARIZATIONS:
        raise errors.InputError(
            f"`data.binarization` must be one of {', '.join(BINARIZATIONS)}; "
            f"got {settings.binarization!r}."
        )
    if (
        IMAGE_SETS[settings.dataset].max_value == 1
        and settings.binarization != "static"
    ):
        raise errors.InputError(
            f"`data.binarization` must be static for {settings.dataset}, whose "
            f"images are binary already; got {settings.binarization!r}."
        )
    for key in ("data.binarization_seed", "training.seed"):
        group, name = key.split(".")
        value = config[group][name]
        if not 0 <= value < 2**31:
            raise errors.InputError(
                f"`{key}` must be in [0, 2**31); got {value}."
            )
    batches.check_batch_size(config, num_replicas)


def load_splits(
    config: config_dict.ConfigDict, data_dir: str | None = None
) -> ImageSplits:
    """Reads the images that `config.data` names.

    Args:
      config: as made by `configs/image_defaults.py`.
      data_dir: folder of TFDS data; see `load_images`.

    Raises:
      InputError: if `load_images` does, and if the training images do not
        fill one batch.
    """
    splits = load_images(
        config.data.dataset, data_dir, config.data.num_validation
    )
    batch_size = config.training.batch_size
    if batch_size > len(splits.train):
        raise errors.InputError(
            "`training.batch_size` must be at most the number of training "
            f"images, {len(splits.train)}; got {batch_size}."
        )
    return splits


def training_dataset(
    splits: ImageSplits, config: config_dict.ConfigDict, first_step: int = 0
) -> tf.data.Dataset:
    """The batches of the steps `first_step` .. `training.num_steps - 1`.

    See `runs.batches.rows_of_step` for the order of the images.

    Args:
      splits: images, as `load_splits` returns them.
      config: as made by `configs/image_defaults.py`.
      first_step: number of steps that were taken before.

    Returns:
      Batches of binary images, float32 `[B, H, W]`.
    """
    is_dynamic = config.data.binarization == "dynamic"
    with tf.device("CPU:0"):  # an accelerator's memory has better uses
        images = tf.constant(
            splits.train
            if is_dynamic
            else _binarize_once(splits, config, "train")
        )

    def batch_of_step(step: tf.Tensor) -> tf.Tensor:
        rows = batches.rows_of_step(step, len(splits.train), config)
        batch = tf.gather(images, rows)
        if is_dynamic:
            batch = _binarize(
                batch,
                splits.max_value,
                seed=config.training.seed,
                step=step,
                purpose="binarisation",
            )
        batch = tf.cast(batch, tf.float32)
        shape = [config.training.batch_size, *splits.train.shape[1:]]
        return tf.ensure_shape(batch, shape)

    return batches.of_steps(batch_of_step, config, first_step)


def evaluation_images(
    splits: ImageSplits, config: config_dict.ConfigDict, split: str
) -> np.ndarray:
    """The binary images of a split, always the same ones.

    Args:
      splits: images, as `load_splits` returns them.
      config: as made by `configs/image_defaults.py`.
      split: "train", "validation" or "test".

    Returns:
      float32 `[N, H, W]`; image i is drawn by (seed, split, i) alone.
    """
    return _binarize_once(splits, config, split).astype(np.float32)


def protocol(
    splits: ImageSplits, config: config_dict.ConfigDict
) -> dict[str, Any]:
    """What results must be read with: splits, sizes and binarisation.

    Args:
      splits: images, as `load_splits` returns them.
      config: as made by `configs/image_defaults.py`.
    """
    if splits.max_value == 1:
        training = evaluation = "that of the data set"
    else:
        evaluation = (
            "drawn once, P(1) = intensity, seed "
            f"{config.data.binarization_seed}"
        )
        training = (
            "drawn anew at every step, P(1) = intensity"
            if config.data.binarization == "dynamic"
            else evaluation
        )
    return {
        "dataset": splits.name,
        "image_shape": list(splits.train.shape[1:]),
        "num_train": len(splits.train),
        "num_validation": len(splits.validation),
        "num_test": len(splits.test),
        "training_binarization": training,
        "evaluation_binarization": evaluation,
    }


def _binarize(images: tf.Tensor, max_value: int, **key: Any) -> tf.Tensor:
    """1 with probability `image / max_value` (to 4e-9), as bools.

    Compares random words with multiples of an integer: half the passes over
    the images that fractions would take.
    """
    words = noise.words(tf.shape(images), **key)
    unit = tf.constant((2**32 - 1) // max_value, tf.uint32)
    return words < tf.cast(images, tf.uint32) * unit


def _binarize_once(
    splits: ImageSplits, config: config_dict.ConfigDict, split: str
) -> np.ndarray:
    images = getattr(splits, split)
    if splits.max_value == 1 or not len(images):
        return images
    dataset = tf.data.Dataset.range(len(images)).map(
        lambda index: _binarize(
            tf.gather(images, index),
            splits.max_value,
            seed=config.data.binarization_seed,
            step=index,
            purpose=f"binarisation of {split}",
        )
    )
    binary = np.concatenate(list(dataset.batch(1_000).as_numpy_iterator()))
    return binary.astype(np.uint8)
