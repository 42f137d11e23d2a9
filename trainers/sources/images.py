"""Reads images into memory: embedded ones, those of TFDS, a user's own."""

from typing import NamedTuple

import numpy as np

from trainers.runs import errors
from trainers.sources import image_files, tfds_images

__all__ = ["IMAGE_SETS", "OWN", "ImageSet", "ImageSplits", "load_images"]

_NUM_DIGITS_TEST = 300


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
# Images of `path`: arrays of a file, files of a folder.
OWN = ("npz", "folder")


class ImageSplits(NamedTuple):
    """The images of one data set, `[N, H, W]`, or `[N, H, W, C]` for C > 1.

    They are uint8 in 0 .. `max_value`; or float32, of which it is None.
    `validation` may hold no images.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    max_value: int | None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`(H, W)` or `(H, W, C)`."""
        return self.train.shape[1:]


def load_images(
    name: str,
    data_dir: str | None = None,
    num_validation: int | None = None,
    *,
    path: str = "",
    num_test: int = 0,
    split_seed: int = 0,
    train_mask: str = "",
) -> ImageSplits:
    """Reads all images of a data set.

    Validation images are the last ones of what is not for testing; of a user's
    own, in an order that a seed decides. For binarized_mnist, the default of
    10,000 of them makes the published splits.

    Args:
      name: one of `IMAGE_SETS`; "npz" or "folder"; or any data set of TFDS
        that has images of one size.
      data_dir: folder of TFDS data. Default: the environment's TFDS_DATA_DIR;
        without one TFDS's own folder, into which it downloads what is missing.
      num_validation: size of the validation split, may be 0. Default: None,
        that of `IMAGE_SETS`; of others the split that there is, or a tenth of
        the images that are not for testing, at most 1,000.
      path: of a user's own images.
      num_test: how many images are for testing where no split is; 0: a tenth.
      split_seed: of the order of a user's own images.
      train_mask: see `image_files.read_npz`.

    Raises:
      InputError: for an unknown name, for data that are not there or cannot
        be read, and if no training images are left.
    """
    max_value: int | None = 255
    if name == "digits":
        images, test = _load_digits()
        found = {"train": images, "test": test}
    elif name in OWN:
        found = (
            image_files.read_folder(path)
            if name == "folder"
            else image_files.read_npz(path, train_mask)
        )
        found, max_value = image_files.as_pixels(found, path)
    else:
        known = IMAGE_SETS.get(name)
        shape = known.image_shape if known else None
        found = tfds_images.read_tfds(name, data_dir, shape)
    if name in IMAGE_SETS:
        max_value = IMAGE_SETS[name].max_value
        if num_validation is None:
            num_validation = IMAGE_SETS[name].num_validation
    if "test" not in found:
        found = _with_test(found, num_test, split_seed)
    elif name in OWN and "validation" not in found:
        found["train"] = _shuffled(found["train"], split_seed)
    train, validation = _with_validation(name, found, num_validation)
    return ImageSplits(name, train, validation, found["test"], max_value)


def _with_validation(
    name: str, found: dict[str, np.ndarray], num_validation: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Those for training and for validation: the last of both."""
    given = found.get("validation", found["train"][:0])
    images = np.concatenate([found["train"], given])
    if num_validation is None:
        num_validation = len(given) or min(1_000, len(images) // 10)
    num_train = len(images) - num_validation
    if not 0 < num_train <= len(images):
        raise errors.InputError(
            "`data.num_validation` must be at least 0 and less than "
            f"{len(images)}, the number of images of {name} that are not for "
            f"testing; got {num_validation}."
        )
    return images[:num_train], images[num_train:]


def _with_test(
    found: dict[str, np.ndarray], num_test: int, seed: int
) -> dict[str, np.ndarray]:
    """Splits that have some for testing: of all images, in a random order."""
    images = _shuffled(
        np.concatenate([i for s, i in found.items() if s != "validation"]),
        seed,
    )
    num_test = num_test or len(images) // 10
    if not 0 < num_test < len(images):
        raise errors.InputError(
            "`data.num_test` must leave images to train on and to test on, of "
            f"{len(images)}; got {num_test}."
        )
    rest, test = np.split(images, [len(images) - num_test])
    validation = {s: i for s, i in found.items() if s == "validation"}
    return {"train": rest, **validation, "test": test}


def _shuffled(images: np.ndarray, seed: int) -> np.ndarray:
    # The raw stream, unlike `permutation`, is the same in every NumPy.
    return images[np.argsort(np.random.PCG64(seed).random_raw(len(images)))]


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    import sklearn.datasets

    images = sklearn.datasets.load_digits().images.astype(np.uint8)
    # In the file's order, other people wrote the last images than the first.
    images = _shuffled(images, 0)
    return images[:-_NUM_DIGITS_TEST], images[-_NUM_DIGITS_TEST:]
