"""Reads a user's own images: the arrays of a file, or the files of a folder."""

import io
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from trainers.runs import errors

__all__ = ["as_pixels", "read_folder", "read_npz"]

# By the names of splits that people give them.
_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_ARRAYS = (
    "the arrays train and test, optionally validation, or one array of images"
)


def read_npz(path: str, train_mask: str = "") -> dict[str, np.ndarray]:
    """The images of a file, by split, or all of them as "images".

    Args:
      path: of a file that `numpy.savez` wrote.
      train_mask: name of an array in it, of one bool for each of the array
        `images`, which tells those for training from those for testing. Empty:
        there is none.

    Raises:
      InputError: there is no such file, or it does not hold such arrays.
    """
    try:
        with (
            tf.io.gfile.GFile(_given(path, "an .npz file"), "rb") as file,
            np.load(io.BytesIO(file.read())) as arrays,
        ):
            found = {
                split: arrays[name]
                for name, split in _chosen(arrays, path).items()
            }
            mask = arrays[train_mask] if train_mask in arrays else None
    except errors.InputError:  # which is a ValueError
        raise
    except (
        OSError,
        ValueError,
        TypeError,  # of a file of one array, which `with` does not take
        EOFError,
        zipfile.BadZipFile,
        tf.errors.OpError,
    ) as error:
        reason = " ".join(str(getattr(error, "message", error)).split())
        raise errors.InputError(
            f"`--data_path` must name an .npz file with {_ARRAYS}; got "
            f"{path!r} ({reason})."
        ) from error
    if not train_mask:
        return found
    images = found.get("images")
    if (
        mask is None
        or images is None
        or mask.dtype != bool
        or mask.shape != images.shape[:1]
    ):
        raise errors.InputError(
            "`data.train_mask` must name an array of one bool for each of the "
            f"images in the array `images`; got {train_mask!r} in {path!r}."
        )
    return {"train": images[mask], "test": images[~mask]}


def _given(path: str, what: str) -> str:
    if not path:
        raise errors.InputError(
            f"`--data_path` must name {what}; got none, and `data.dataset` "
            "asks for one."
        )
    return path


def _chosen(arrays: Mapping[str, Any], path: str) -> dict[str, str]:
    """The names of the arrays that are images, or raises."""
    names = list(arrays)
    splits = [name for name in names if name in _SPLITS]
    found = {name: _SPLITS[name] for name in splits}
    if {"train", "test"} <= set(found.values()):
        if len(set(found.values())) == len(found):
            return found
        raise errors.InputError(
            "`--data_path` must name an .npz file with one array for each "
            f"split; got {path!r} with {', '.join(splits)}."
        )
    if "images" in names:
        return {"images": "images"}
    if len(names) == 1:
        return {names[0]: "images"}
    raise errors.InputError(
        f"`--data_path` must name an .npz file with {_ARRAYS}; got {path!r} "
        f"with {', '.join(names) or 'no array'}."
    )


def read_folder(path: str) -> dict[str, np.ndarray]:
    """The images below a folder, by split, or all of them as "images".

    Splits are its folders `train` and `test`, optionally `validation`. Below
    them, or where there are none, files may lie in any folders; they are taken
    in the order of their paths.

    Raises:
      InputError: there are none, one cannot be read, or they differ in shape.
    """
    what = f"a folder of images ({', '.join(_SUFFIXES)})"
    path = _given(path, what)
    if not tf.io.gfile.isdir(path):
        raise errors.InputError(
            f"`--data_path` must name {what}; got {path!r}."
        )
    folders = {
        _SPLITS[name.rstrip("/")]: os.path.join(path, name.rstrip("/"))
        for name in tf.io.gfile.listdir(path)
        if name.rstrip("/") in _SPLITS
    }
    if not {"train", "test"} <= set(folders):
        folders = {"images": path}
    return {
        split: _read_files(_files(folder), folder)
        for split, folder in folders.items()
    }


def _files(folder: str) -> list[str]:
    return sorted(
        os.path.join(directory, name)
        for directory, _, names in tf.io.gfile.walk(folder)
        for name in names
        if name.lower().endswith(_SUFFIXES)
    )


def _read_files(paths: list[str], folder: str) -> np.ndarray:
    if not paths:
        raise errors.InputError(
            "`--data_path` must name a folder with images "
            f"({', '.join(_SUFFIXES)}); got none below {folder!r}."
        )
    images: list[np.ndarray] = []
    for path in tqdm.tqdm(paths, "reading images", unit="file", disable=None):
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                image = tf.io.decode_image(
                    file.read(), expand_animations=False
                ).numpy()
        except tf.errors.OpError as error:
            raise errors.InputError(
                "`--data_path` must name a folder with images that can be "
                f"read; got {path!r} ({' '.join(str(error.message).split())})."
            ) from error
        if images and image.shape != images[0].shape:
            raise errors.InputError(
                "`--data_path` must name a folder with images of one shape; "
                f"got {images[0].shape} in {paths[0]!r} and {image.shape} in "
                f"{path!r}."
            )
        images.append(image)
    return np.stack(images)


def as_pixels(
    found: Mapping[str, np.ndarray], path: str
) -> tuple[dict[str, np.ndarray], int | None]:
    """Splits as `ImageSplits` has them, and their largest possible value.

    Args:
      found: images by split, as they were read.
      path: from where, for messages.

    Returns:
      uint8 or float32 `[N, H, W]`, or `[N, H, W, C]` for C > 1; and 1 or 255
      for whole numbers, None for others.

    Raises:
      InputError: an array is empty, of another rank or dtype, or of other
        shapes than the rest; or a number is negative, too large, or none.
    """
    for name, images in found.items():
        _check_array(name, images, path)
    shapes = {name: images.shape[1:] for name, images in found.items()}
    if len(set(shapes.values())) > 1:
        raise errors.InputError(
            f"`--data_path` must hold images of one shape; got {path!r} with "
            + ", ".join(f"{shape} in {name}" for name, shape in shapes.items())
            + "."
        )
    pixels = {
        name: images[..., 0] if images.shape[3:] == (1,) else images
        for name, images in found.items()
    }
    if any(images.dtype.kind == "f" for images in pixels.values()):
        return {
            name: images.astype(np.float32) for name, images in pixels.items()
        }, None
    largest = max(int(images.max()) for images in pixels.values())
    return {
        name: images.astype(np.uint8) for name, images in pixels.items()
    }, 1 if largest <= 1 else 255


def _check_array(name: str, images: np.ndarray, path: str) -> None:
    """Refuses what are no images."""
    rule = f"`--data_path` must hold images, {name!r} of {path!r}"
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise errors.InputError(
            f"{rule} of shape [N, H, W] or [N, H, W, C], none of them 0; got "
            f"{images.shape}."
        )
    if images.dtype.kind not in "buif":
        raise errors.InputError(
            f"{rule} of bools, integers or floating-point numbers; got dtype "
            f"{images.dtype}."
        )
    if images.dtype.kind == "f":
        wrong, limits = ~np.isfinite(images), "finite"
    else:
        wrong, limits = (
            (images < 0) | (images > 255),
            "from 0 to 255 where they are integers (others can be scaled to "
            "floating-point numbers in [0, 1])",
        )
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise errors.InputError(
            f"{rule} of values that are {limits}; got {images[index]} in "
            f"image {index[0]} (counted from 0) at {index[1:]}, the first of "
            f"{wrong.sum():,} such values."
        )
