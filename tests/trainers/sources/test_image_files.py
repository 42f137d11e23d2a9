"""A user's own images: arrays of a file, files of a folder, any TFDS set."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.runs import errors
from trainers.sources import images as image_sources


def numbered(count, shape=(3, 2), dtype=np.uint8, first=0):
    """Images that are all their own number."""
    numbers = np.arange(first, first + count).astype(dtype)
    return np.broadcast_to(
        numbers.reshape(-1, *[1] * len(shape)), (count, *shape)
    ).copy()


def numbers(images):
    return images.reshape(len(images), -1)[:, 0].tolist()


@pytest.fixture
def write(tmp_path):
    """Writes an .npz file and returns its path."""

    def write(**arrays):
        path = str(tmp_path / "faces.npz")
        np.savez(path, **arrays)
        return path

    return write


def load(path, name="npz", num_validation=None, **kwargs):
    return image_sources.load_images(
        name, None, num_validation, path=path, **kwargs
    )


def test_given_splits_are_kept(write):
    path = write(
        train=numbered(40), valid=numbered(5, first=40), test=numbered(9)
    )
    splits = load(path)
    assert numbers(splits.train) == list(range(40))
    assert numbers(splits.validation) == [40, 41, 42, 43, 44]
    assert numbers(splits.test) == list(range(9))
    assert splits.train.dtype == np.uint8
    assert splits.max_value == 255
    assert splits.image_shape == (3, 2)


def test_validation_is_taken_at_random_from_the_training_images(write):
    path = write(train=numbered(40), test=numbered(9), labels=np.arange(40))
    splits = load(path)
    assert len(splits.validation) == 4  # a tenth
    together = numbers(splits.train) + numbers(splits.validation)
    assert sorted(together) == list(range(40))
    assert together != list(range(40))  # files may be sorted by class
    assert numbers(splits.test) == list(range(9))
    assert len(load(path, num_validation=0).train) == 40
    other = load(path, split_seed=1)
    assert numbers(other.validation) != numbers(splits.validation)
    again = load(path)
    np.testing.assert_array_equal(again.train, splits.train)


@pytest.mark.parametrize("extra", [{}, {"labels": np.arange(50)}])
def test_one_array_is_split_by_seed(write, extra):
    path = write(images=numbered(50), **extra)
    splits = load(path)
    assert [len(images) for images in splits[1:4]] == [41, 4, 5]
    all_images = np.concatenate(splits[1:4])
    assert sorted(numbers(all_images)) == list(range(50))
    assert numbers(splits.test) != list(range(45, 50))
    assert len(load(path, num_test=20).test) == 20


def test_a_mask_tells_training_from_testing(write):
    mask = np.arange(20) % 2 == 0
    path = write(images=numbered(20), chosen=mask, alphabet=np.arange(20))
    splits = load(path, num_validation=2, train_mask="chosen")
    assert numbers(splits.test) == list(range(1, 20, 2))
    assert len(splits.train) == 8
    for wrong in ("alphabet", "nothing"):
        with pytest.raises(errors.InputError, match=f"one bool.*'{wrong}'"):
            load(path, train_mask=wrong)


@pytest.mark.parametrize(
    ("dtype", "scale", "max_value", "kept"),
    [
        (bool, 1, 1, np.uint8),
        (np.int64, 1, 1, np.uint8),
        (np.int64, 9, 255, np.uint8),
        (np.float64, 0.5, None, np.float32),
    ],
)
def test_dtypes(write, dtype, scale, max_value, kept):
    images = (numbered(20, dtype=np.int64) % 2 * scale).astype(dtype)
    splits = load(write(train=images, test=images))
    assert splits.max_value == max_value
    assert splits.train.dtype == splits.test.dtype == kept
    np.testing.assert_array_equal(splits.test, images.astype(kept))


def test_colours_stay_and_one_channel_goes(write):
    shapes = []
    for channels in (1, 3):
        images = numbered(20, (3, 2, channels))
        shapes.append(load(write(train=images, test=images)).image_shape)
    assert shapes == [(3, 2), (3, 2, 3)]


NAN = np.full([4, 3, 2], 0.5)
NAN[2, 1, 0] = np.nan


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": numbered(9), "y": numbered(9)}, "with x, y"),
        ({"train": numbered(9), "other": numbered(9)}, "with train, other"),
        ({}, "no array"),
        (
            {name: numbered(9) for name in ("train", "val", "valid", "test")},
            "one array for each split; got .* with train, val, valid, test",
        ),
        (
            {"train": np.zeros([3, 4]), "test": numbered(2)},
            r"'train'.*\(3, 4\)",
        ),
        ({"images": np.zeros([0, 3, 2])}, r"none of them 0; got \(0, 3, 2\)"),
        ({"images": np.zeros([4, 3, 2], "S1")}, r"dtype \|S1"),
        ({"images": numbered(300, dtype=np.int32)}, "256 in image 256.*of 264"),
        ({"images": -numbered(9, dtype=np.int32)}, r"-1 in image 1.*\(0, 0\)"),
        (
            {"images": NAN},
            r"finite; got nan in image 2 .* at \(1, 0\).* 1 such",
        ),
        (
            {"train": numbered(9), "test": numbered(9, (2, 2))},
            r"\(3, 2\) in train, \(2, 2\) in test",
        ),
        ({"images": np.array([None, 1])}, "faces.npz.*pickle"),
        ({"images": numbered(1)}, "`data.num_test` must leave .*of 1; got 0"),
    ],
)
def test_arrays_that_are_no_images(write, arrays, message):
    with pytest.raises(errors.InputError, match=message) as refused:
        load(write(**arrays))
    assert "\n" not in str(refused.value)
    assert str(refused.value).count("must") == 1


def test_a_file_that_is_no_npz(tmp_path):
    path = tmp_path / "faces.npz"
    with pytest.raises(errors.InputError, match="`--data_path`.*faces.npz"):
        load(str(path))
    path.write_bytes(b"no archive")
    with pytest.raises(errors.InputError, match="`--data_path`.*faces.npz"):
        load(str(path))
    np.save(tmp_path / "one.npy", numbered(9))
    with pytest.raises(errors.InputError, match="`--data_path`.*one.npy"):
        load(str(tmp_path / "one.npy"))
    with pytest.raises(errors.InputError, match="got none"):
        load("")


def write_files(folder, images, suffix=".png"):
    encode = tf.io.encode_jpeg if suffix == ".jpg" else tf.io.encode_png
    for i, image in enumerate(images):
        directory = folder / f"class_{i % 2}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{i:03}{suffix}"
        path.write_bytes(encode(image).numpy())


def test_folders_of_splits(tmp_path):
    for split, count in (("train", 20), ("val", 4), ("test", 6)):
        write_files(tmp_path / split, numbered(count, (3, 2, 3)))
    (tmp_path / "train" / "notes.txt").write_text("no image")
    splits = load(str(tmp_path), "folder")
    # In the order of paths: by class, then by number.
    order = [*range(0, 20, 2), *range(1, 20, 2)]
    assert numbers(splits.train) == order
    assert [len(images) for images in splits[1:4]] == [20, 4, 6]
    assert splits.image_shape == (3, 2, 3)
    assert splits.max_value == 255


def test_a_folder_without_splits(tmp_path):
    write_files(tmp_path, numbered(30, (3, 2, 1)))
    splits = load(f"{tmp_path}/", "folder")
    assert [len(images) for images in splits[1:4]] == [25, 2, 3]
    together = numbers(np.concatenate(splits[1:4]))
    assert sorted(together) == list(range(30))


def test_folders_that_cannot_be_read(tmp_path):
    def refused(match):
        with pytest.raises(errors.InputError, match=match):
            load(str(tmp_path), "folder")

    refused("`--data_path` .* got none below")
    write_files(tmp_path, numbered(2, (3, 2, 1)))
    write_files(tmp_path / "z", numbered(1, (4, 2, 1)))
    refused(r"one shape; got \(3, 2, 1\) in .* and \(4, 2, 1\) in .*z")
    (tmp_path / "a.jpeg").write_bytes(b"no image")
    refused("can be read; got .*a.jpeg")
    with pytest.raises(errors.InputError, match="must name a folder.*nowhere"):
        load(str(tmp_path / "nowhere"), "folder")


def write_own_tfds(folder, splits):
    """A data set that TFDS has no code for."""
    shape = next(iter(splits.values())).shape[1:]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="silhouettes",
        version="1.0.0",
        data_dir=folder,
        features=tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=shape), "id": np.int64}
        ),
        split_datasets={
            split: tf.data.Dataset.from_tensor_slices(
                {"image": images, "id": np.arange(len(images))}
            )
            for split, images in splits.items()
        },
        disable_shuffling=True,
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_any_set_of_tfds(tmp_path, channels):
    shape = (3, 2, channels)
    write_own_tfds(
        tmp_path, {"train": numbered(20, shape), "test": numbered(6, shape)}
    )
    splits = image_sources.load_images("silhouettes", str(tmp_path))
    assert numbers(splits.train) == list(range(18))
    assert numbers(splits.validation) == [18, 19]
    assert numbers(splits.test) == list(range(6))
    assert splits.image_shape == (shape[:2] if channels == 1 else shape)
    assert splits.max_value == 255


def test_a_set_of_tfds_without_a_split_for_training(tmp_path):
    write_own_tfds(tmp_path, {"partial": numbered(30, (3, 2, 1))})
    splits = image_sources.load_images("silhouettes", str(tmp_path))
    assert [len(images) for images in splits[1:4]] == [25, 2, 3]


def test_unknown_set_names_the_close_ones(tmp_path):
    with pytest.raises(errors.InputError, match="'mnits': did you mean mnist"):
        image_sources.load_images("mnits", str(tmp_path))


def test_a_set_without_images(tmp_path):
    tfds.dataset_builders.store_as_tfds_dataset(
        name="numbers",
        version="1.0.0",
        data_dir=tmp_path,
        features=tfds.features.FeaturesDict({"id": np.int64}),
        split_datasets={
            "train": tf.data.Dataset.from_tensor_slices({"id": [1]})
        },
    )
    with pytest.raises(errors.InputError, match="got numbers with id"):
        image_sources.load_images("numbers", str(tmp_path))
