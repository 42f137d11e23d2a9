"""From images in memory to the batch of each training step, and test sets."""

import os
from typing import Any

import numpy as np
import tensorflow as tf
from ml_collections import config_dict

from trainers.images import pixels
from trainers.runs import batches, errors
from trainers.sources.images import (
    IMAGE_SETS,
    OWN,
    ImageSplits,
    load_images,
)

__all__ = [
    "ImageSplits",
    "check_config",
    "evaluation_images",
    "load_images",
    "load_splits",
    "protocol",
    "training_dataset",
]


def check_config(config: config_dict.ConfigDict, num_replicas: int = 1) -> None:
    """Refuses what can be seen to be wrong before the images are read.

    Args:
      config: as made by `configs/image_defaults.py`.
      num_replicas: among which a batch is divided.

    Raises:
      InputError: naming the first key whose value breaks its rule.
    """
    settings = config.data
    if not settings.dataset:
        raise errors.InputError(
            f"`data.dataset` must be one of {', '.join(IMAGE_SETS)}, "
            f"{', '.join(OWN)}, or the name of a data set of TFDS; got "
            f"{settings.dataset!r}."
        )
    if bool(settings.path) != (settings.dataset in OWN):
        rule = (
            "name an .npz file or a folder"
            if settings.dataset in OWN
            else f"not be given with data.dataset={settings.dataset}, but with "
            f"{' or '.join(OWN)}"
        )
        raise errors.InputError(
            f"`--data_path` must {rule}; got {settings.path!r}."
        )
    pixels.check_config(config)
    known = IMAGE_SETS.get(settings.dataset)
    is_binary = known is not None and known.max_value == 1
    if is_binary and settings.binarization == "dynamic":
        raise errors.InputError(
            f"`data.binarization` must be static for {settings.dataset}, whose "
            f"images are binary already; got {settings.binarization!r}."
        )
    for key in ("data.binarization_seed", "data.split_seed", "training.seed"):
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
    settings = config.data
    splits = load_images(
        settings.dataset,
        data_dir,
        settings.num_validation,
        path=settings.path,
        num_test=settings.num_test,
        split_seed=settings.split_seed,
        train_mask=settings.train_mask,
    )
    of_path = os.path.splitext(os.path.basename(settings.path.rstrip("/")))[0]
    splits = splits._replace(name=settings.name or of_path or splits.name)
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
      Batches of images as the model takes them, float32 `[B, H, W]` or
      `[B, H, W, C]`.
    """
    how = pixels.Pixels(splits, config)
    is_static = config.data.binarization == "static"
    with tf.device("CPU:0"):  # an accelerator's memory has better uses
        images = tf.constant(
            evaluation_images(splits, config, "train", dtype=np.uint8)
            if is_static
            else splits.train
        )

    def batch_of_step(step: tf.Tensor) -> tf.Tensor:
        rows = batches.rows_of_step(step, len(splits.train), config)
        batch = tf.gather(images, rows)
        batch = (
            tf.cast(batch, tf.float32)
            if is_static
            else how.of(batch, config.training.seed, step)
        )
        shape = [config.training.batch_size, *splits.image_shape]
        return tf.ensure_shape(batch, shape)

    return batches.of_steps(batch_of_step, config, first_step)


def evaluation_images(
    splits: ImageSplits,
    config: config_dict.ConfigDict,
    split: str,
    dtype: Any = np.float32,
) -> np.ndarray:
    """The images of a split as the model takes them, always the same ones.

    Args:
      splits: images, as `load_splits` returns them.
      config: as made by `configs/image_defaults.py`.
      split: "train", "validation" or "test".
      dtype: of what is returned.

    Returns:
      `[N, H, W]` or `[N, H, W, C]`; what is random in image i is decided by
      (seed, split, i) alone.
    """
    how = pixels.Pixels(splits, config)
    images = getattr(splits, split)
    once = how.once(images, split, config.data.binarization_seed)
    return once.astype(dtype, copy=False)


def protocol(
    splits: ImageSplits, config: config_dict.ConfigDict
) -> dict[str, Any]:
    """What results must be read with: splits, sizes and binarisation.

    Args:
      splits: images, as `load_splits` returns them.
      config: as made by `configs/image_defaults.py`.
    """
    return {
        "dataset": splits.name,
        "image_shape": list(splits.image_shape),
        "num_train": len(splits.train),
        "num_validation": len(splits.validation),
        "num_test": len(splits.test),
        **pixels.protocol(splits, config),
    }
