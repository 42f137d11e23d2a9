"""Tests of the image data sets."""

import os
import shutil
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import sklearn.datasets
import tensorflow_datasets as tfds

from trainers.runs import errors
from trainers.sources import images as image_sources

EMBEDDED = "configs/digits.py"


def rows(images):
    return sorted(image.tobytes() for image in images)


def write_tfds(folder, name, splits):
    """Writes images in the format, and with the tools, of TFDS."""
    version = str(tfds.builder_cls(name).VERSION)
    directory = folder / name / version
    directory.mkdir(parents=True)
    features = {"image": tfds.features.Image(shape=splits["train"].shape[1:])}
    label = {}
    if name == "mnist":
        features["label"] = tfds.features.ClassLabel(num_classes=10)
        label["label"] = 0
    info = tfds.core.DatasetInfo(
        builder=tfds.core.DatasetIdentity(
            name=name,
            version=tfds.core.Version(version),
            data_dir=str(directory),
            module_name=__name__,
        ),
        features=tfds.features.FeaturesDict(features),
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=1_000)
    writer.initialize_splits(list(splits))
    for split, images in splits.items():
        writer.add_examples({split: [{"image": i, **label} for i in images]})
    writer.close_all()


@pytest.fixture(scope="module")
def fake():
    """Images as TFDS yields them, by data set and split."""
    rng = np.random.default_rng(0)

    def draw(count, high):
        return rng.integers(0, high, [count, 28, 28, 1], dtype=np.uint8)

    return {
        "mnist": {"train": draw(40, 256), "test": draw(10, 256)},
        "binarized_mnist": {
            "train": draw(20, 2),
            "validation": draw(7, 2),
            "test": draw(5, 2),
        },
    }


@pytest.fixture(scope="module")
def fake_dir(fake, tmp_path_factory):
    """A folder of TFDS data with the same images."""
    folder = tmp_path_factory.mktemp("tfds")
    for name, splits in fake.items():
        write_tfds(folder, name, splits)
    return folder


@pytest.fixture
def copy_of_fake_dir(fake_dir, tmp_path):
    return shutil.copytree(fake_dir, tmp_path / "copy")


@pytest.fixture
def no_data_dir(monkeypatch, tmp_path):
    """TFDS's own folder is empty."""
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setattr(
        tfds.core.constants, "DATA_DIR", str(tmp_path / "default")
    )


def test_digits_are_those_of_scikit_learn_in_another_order():
    splits = image_sources.load_images("digits")
    assert splits.train.shape == (1297, 8, 8)
    assert splits.validation.shape == (200, 8, 8)
    assert splits.test.shape == (300, 8, 8)
    assert splits.train.dtype == np.uint8
    assert splits.max_value == splits.train.max() == 16
    images = np.concatenate(splits[1:4])
    source = sklearn.datasets.load_digits().images.astype(np.uint8)
    assert rows(images) == rows(source)
    # A fixed order: results.json files stay comparable.
    order = [int(np.argmax((source == image).all((1, 2)))) for image in images]
    assert order[:3] == [855, 921, 269]
    assert order[-3:] == [26, 1395, 530]


def test_tfds_images_are_read_in_their_order(fake, fake_dir):
    splits = image_sources.load_images("mnist", str(fake_dir), 15)
    expected = fake["mnist"]["train"][..., 0]
    np.testing.assert_array_equal(splits.train, expected[:25])
    np.testing.assert_array_equal(splits.validation, expected[25:])
    np.testing.assert_array_equal(splits.test, fake["mnist"]["test"][..., 0])
    assert splits.train.dtype == np.uint8
    assert splits.max_value == 255


def test_published_validation_split_is_kept_or_joins_the_training(
    fake, fake_dir
):
    images = {k: v[..., 0] for k, v in fake["binarized_mnist"].items()}
    kept = image_sources.load_images("binarized_mnist", str(fake_dir), 7)
    for split, expected in images.items():
        np.testing.assert_array_equal(getattr(kept, split), expected)
    joined = image_sources.load_images("binarized_mnist", str(fake_dir), 0)
    assert len(joined.train) == 27
    assert joined.validation.shape == (0, 28, 28)


def test_data_dir_goes_before_the_environment(fake_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(fake_dir))
    assert len(image_sources.load_images("mnist", None, 0).train) == 40
    with pytest.raises(errors.InputError, match=str(tmp_path)):
        image_sources.load_images("mnist", str(tmp_path), 0)


@pytest.mark.parametrize("num_validation", [-1, 40, 100])
def test_no_training_images_are_left(fake_dir, num_validation):
    with pytest.raises(
        errors.InputError, match=f"num_validation` .* 40, .*{num_validation}"
    ):
        image_sources.load_images("mnist", str(fake_dir), num_validation)


def refuse(name, data_dir=None):
    """The message, which must be one line and name both ways out."""
    with pytest.raises(errors.InputError) as refused:
        image_sources.load_images(name, data_dir and str(data_dir), 0)
    message = str(refused.value)
    assert "--data_dir" in message
    assert EMBEDDED in message
    assert "\n" not in message
    return message


def test_folder_without_the_data_set(tmp_path):
    assert "could not find data" in refuse("mnist", tmp_path)
    assert "could not find data" in refuse("mnist", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[: len(content) // 2], "truncated record"),
        (lambda content: content.replace(b"PNG", b"png"), "corrupted record"),
        (lambda content: b"", "contained only 0 elements"),
        (None, "validation.tfrecord"),
    ],
    ids=["truncated", "changed", "empty", "removed"],
)
def test_corrupt_data(copy_of_fake_dir, damage, reason):
    (path,) = copy_of_fake_dir.glob("binarized_mnist/*/*-validation.tfrecord*")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    assert reason in refuse("binarized_mnist", copy_of_fake_dir)


def test_images_of_another_shape(tmp_path):
    images = np.zeros([2, 8, 8, 1], np.uint8)
    write_tfds(tmp_path, "mnist", {"train": images, "test": images})
    assert "28,28,1" in refuse("mnist", tmp_path)


@pytest.mark.usefixtures("no_data_dir")
def test_host_out_of_reach_is_said_before_any_download(monkeypatch):
    def fail(url, timeout):
        assert "googleapis" in url
        raise urllib.error.URLError("no such host")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    monkeypatch.setattr(tfds, "load", None)
    assert "download failed: urlopen error no such host" in refuse("mnist")


@pytest.mark.usefixtures("no_data_dir")
def test_missing_data_are_downloaded(monkeypatch):
    def not_found(url, timeout):
        raise urllib.error.HTTPError(url, 404, "not found", None, None)

    def load(name, *, data_dir, download, **kwargs):
        assert (name, data_dir, download) == ("mnist", None, True)
        raise OSError("No space left.\nOn the device.")

    monkeypatch.setattr(urllib.request, "urlopen", not_found)
    monkeypatch.setattr(tfds, "load", load)
    assert refuse("mnist").endswith("No space left.")


# Of all the images; to a change in what TFDS yields, these would differ.
MEANS = {
    "mnist": (60_000, 0.1306604, 0.1325146),
    "fashion_mnist": (60_000, 0.2860406, 0.2868493),
    "binarized_mnist": (60_000, 0.1306, 0.1325),
}


@pytest.mark.parametrize(
    "name",
    [
        "mnist",
        pytest.param("fashion_mnist", marks=pytest.mark.slow),
        pytest.param("binarized_mnist", marks=pytest.mark.slow),
    ],
)
def test_real_data(name, capsys):
    if not os.environ.get("TFDS_DATA_DIR"):
        reason = f"TFDS_DATA_DIR is not set: NOT TESTED on the real {name}."
        with capsys.disabled():
            print(f"\n*** {reason}", file=sys.stderr)
        pytest.skip(reason)
    splits = image_sources.load_images(name)
    num_images, train_mean, test_mean = MEANS[name]
    known = image_sources.IMAGE_SETS[name]
    assert len(splits.validation) == known.num_validation
    assert splits.test.shape == (10_000, *known.image_shape)
    images = np.concatenate([splits.train, splits.validation])
    assert images.shape == (num_images, *known.image_shape)
    assert images.max() == known.max_value
    tolerance = 2e-4 if known.max_value == 1 else 1e-6
    for found, expected in ((images, train_mean), (splits.test, test_mean)):
        assert found.mean() / known.max_value == pytest.approx(
            expected, abs=tolerance
        )
