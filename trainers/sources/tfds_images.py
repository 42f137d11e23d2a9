"""Reads the images of TensorFlow Datasets, of whatever set has some."""

import os
import re
import urllib.error
import urllib.request
from typing import Any

import numpy as np
from absl import logging

from configs import variants
from trainers.runs import errors

__all__ = ["read_tfds"]

_TIMEOUT = 20.0  # seconds
# Where TFDS downloads from.
_HOSTS = {
    "mnist": "https://storage.googleapis.com",
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
    ),
    "binarized_mnist": "http://www.cs.toronto.edu",
}
_SPLITS = ("train", "validation", "test")


class _NotFoundError(ValueError):
    """TFDS knows no such data set."""


def read_tfds(
    name: str,
    data_dir: str | None,
    image_shape: tuple[int, int] | None = None,
) -> dict[str, np.ndarray]:
    """The images of a data set by split, uint8 `[N, H, W]` or `[N, H, W, C]`.

    Args:
      name: of the data set.
      data_dir: folder of TFDS data. Default: the environment's TFDS_DATA_DIR;
        without one TFDS's own folder, into which it downloads what is missing.
      image_shape: of images of one channel; None: whatever they have.

    Returns:
      Of the splits train, validation and test those that there are; where
      there is no split train, all images as "images".

    Raises:
      InputError: for data that are not there or cannot be read.
    """
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR") or None
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # TFDS warns of what is raised below
    try:
        return _read(name, data_dir, image_shape)
    except _NotFoundError as error:
        raise errors.InputError(str(error)) from error
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


def _read(
    name: str,
    data_dir: str | None,
    image_shape: tuple[int, int] | None,
) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    must_download = False
    if data_dir is None:
        must_download = not _builder(name, None).is_prepared()
        if must_download and name in _HOSTS:
            _check_host(_HOSTS[name])
    if image_shape is None:
        splits, feature = _described(name, data_dir)
    else:
        splits, feature = ["train", "test"], "image"
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
    shape = (*image_shape, 1) if image_shape else info.features[feature].shape
    found = {}
    for split, dataset in zip(splits, datasets, strict=True):
        batches = dataset.map(lambda example: example[feature]).batch(10_000)
        images = np.concatenate(list(tfds.as_numpy(batches)))
        expected = (info.splits[split].num_examples, *shape)
        if images.shape != expected or images.dtype != np.uint8:
            raise ValueError(
                f"the split {split} has {images.dtype} images of shape "
                f"{images.shape} instead of uint8 and {expected}"
            )
        found[split] = images[..., 0] if shape[-1] == 1 else images
    if "train" in found:
        return {split: found[split] for split in _SPLITS if split in found}
    return {"images": np.concatenate(list(found.values()))}


def _builder(name: str, data_dir: str | None) -> Any:
    """TFDS's builder; of a name that it does not know says which are close."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError as error:
        known = ["npz", "folder", "digits", *tfds.list_builders()]
        raise _NotFoundError(
            "`data.dataset` must be npz, folder, digits or a data set of TFDS "
            "that it knows or that lies in `--data_dir`; got "
            f"{name!r}{variants.suggestion(name, known)}"
        ) from error


def _described(name: str, data_dir: str | None) -> tuple[list[str], str]:
    """The splits to read, and the feature that has the images."""
    import tensorflow_datasets as tfds

    info = _builder(name, data_dir).info
    images = [
        key
        for key, feature in dict(info.features or {}).items()
        if isinstance(feature, tfds.features.Image)
    ]
    feature = "image" if "image" in images else (images or [""])[0]
    if not feature or len(images) > 1 and feature != "image":
        raise _NotFoundError(
            "`data.dataset` must have one feature of images, or one called "
            f"image; got {name} with {', '.join(info.features or ())}."
        )
    if None in info.features[feature].shape:
        raise _NotFoundError(
            "`data.dataset` must have images of one size; got "
            f"{name}, whose shape is {info.features[feature].shape}."
        )
    splits = list(info.splits)
    return [s for s in splits if s in _SPLITS] or splits, feature


def _check_host(url: str) -> None:
    """Raises at once where TFDS would try for minutes to reach a host."""
    try:
        urllib.request.urlopen(url, timeout=_TIMEOUT).close()
    except urllib.error.HTTPError:
        pass  # an answer, even if there is nothing at the root
