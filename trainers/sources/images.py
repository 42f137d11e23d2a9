"""Reads image data sets into memory: scikit-learn's digits, and TFDS."""

import os
import re
import urllib.error
import urllib.request
from typing import NamedTuple

import numpy as np
from absl import logging

from trainers.runs import errors

__all__ = ["IMAGE_SETS", "ImageSet", "ImageSplits", "load_images"]

_NUM_DIGITS_TEST = 300
_TIMEOUT = 20.0  # seconds
# Where TFDS downloads from.
_HOSTS = {
    "mnist": "https://storage.googleapis.com",
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
    ),
    "binarized_mnist": "http://www.cs.toronto.edu",
}


class ImageSet(NamedTuple):
    """What is known of a data set before it is read.

    Attributes:
      image_shape: `(H, W)`.
      max_value: of a pixel; 1 for images that are binary already.
      num_validation: the usual size of the validation split.
    """

    image_shape: tuple[int, int]
    max_value: int
    num_validation: int


IMAGE_SETS = {
    "digits": ImageSet((8, 8), 16, 200),
    "mnist": ImageSet((28, 28), 255, 1_000),
    "fashion_mnist": ImageSet((28, 28), 255, 1_000),
    "binarized_mnist": ImageSet((28, 28), 1, 10_000),
}


class ImageSplits(NamedTuple):
    """The images of one data set, uint8 `[N, H, W]` in 0 .. `max_value`.

    `validation` may hold no images.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    max_value: int


def load_images(
    name: str, data_dir: str | None = None, num_validation: int | None = None
) -> ImageSplits:
    """Reads all images of a data set.

    Validation images are the last ones of what is not for testing. For
    binarized_mnist, the default of 10,000 of them makes the published splits.

    Args:
      name: one of `IMAGE_SETS`.
      data_dir: folder of TFDS data. Default: the environment's TFDS_DATA_DIR;
        without one TFDS's own folder, into which it downloads what is missing.
      num_validation: size of the validation split, may be 0. Default: that of
        `IMAGE_SETS`.

    Raises:
      InputError: for an unknown name, for data that are not there or cannot
        be read, and if no training images are left.
    """
    if name not in IMAGE_SETS:
        raise errors.InputError(
            f"`data.dataset` must be one of {', '.join(IMAGE_SETS)}; "
            f"got {name!r}."
        )
    if name == "digits":
        images, test = _load_digits()
    else:
        images, test = _load_tfds(name, data_dir)
    if num_validation is None:
        num_validation = IMAGE_SETS[name].num_validation
    num_train = len(images) - num_validation
    if not 0 < num_train <= len(images):
        raise errors.InputError(
            "`data.num_validation` must be at least 0 and less than "
            f"{len(images)}, the number of images of {name} that are not for "
            f"testing; got {num_validation}."
        )
    return ImageSplits(
        name,
        images[:num_train],
        images[num_train:],
        test,
        IMAGE_SETS[name].max_value,
    )


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    import sklearn.datasets

    images = sklearn.datasets.load_digits().images.astype(np.uint8)
    # In the file's order, other people wrote the last images than the first.
    # The raw stream, unlike `permutation`, is the same in every NumPy.
    order = np.argsort(np.random.PCG64(0).random_raw(len(images)))
    images = images[order]
    return images[:-_NUM_DIGITS_TEST], images[-_NUM_DIGITS_TEST:]


def _load_tfds(
    name: str, data_dir: str | None
) -> tuple[np.ndarray, np.ndarray]:
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR") or None
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # TFDS warns of what is raised below
    try:
        return _read_tfds(name, data_dir)
    except Exception as error:  # TFDS raises errors of all kinds
        where = repr(data_dir) if data_dir else "none, and the download failed"
        raise errors.InputError(
            f"`--data_dir` must name a folder from which TFDS can load {name} "
            "(configs/digits.py needs none, as its images are embedded); "
            f"got {where}: {_reason(error)}."
        ) from error
    finally:
        logging.set_verbosity(verbosity)


def _reason(error: Exception) -> str:
    """The first sentence of a message, without the names of TF's nodes."""
    text = " ".join(str(error).split())
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", text)
    return text.partition(". ")[0].strip(" .'\"<>") or type(error).__name__


def _read_tfds(
    name: str, data_dir: str | None
) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow_datasets as tfds

    must_download = False
    if data_dir is None:
        must_download = not tfds.builder(name).is_prepared()
        if must_download:
            _check_host(_HOSTS[name])
    splits = ["train", "test"]
    if name == "binarized_mnist":
        splits.insert(1, "validation")
    datasets, info = tfds.load(
        name,
        split=splits,
        data_dir=data_dir,
        download=must_download,
        with_info=True,
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    arrays = []
    for split, dataset in zip(splits, datasets, strict=True):
        batches = dataset.map(lambda example: example["image"]).batch(10_000)
        images = np.concatenate(list(tfds.as_numpy(batches)))
        shape = (info.splits[split].num_examples, 28, 28, 1)
        if images.shape != shape or images.dtype != np.uint8:
            raise ValueError(
                f"the split {split} has {images.dtype} images of shape "
                f"{images.shape} instead of uint8 and {shape}"
            )
        arrays.append(images[..., 0])
    *not_for_testing, test = arrays
    return np.concatenate(not_for_testing), test


def _check_host(url: str) -> None:
    """Raises at once where TFDS would try for minutes to reach a host."""
    try:
        urllib.request.urlopen(url, timeout=_TIMEOUT).close()
    except urllib.error.HTTPError:
        pass  # an answer, even if there is nothing at the root
