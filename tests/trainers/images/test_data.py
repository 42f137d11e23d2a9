"""Tests of the image data sets and of the batches made of them."""

import os
import shutil
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
import tensorflow_datasets as tfds

from configs import binarized_mnist, digits, mnist
from trainers.images import data
from trainers.images import sources as image_sources
from trainers.runs import errors

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


# Reading.


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


# Batches.


def make_splits(train, max_value):
    train = np.asarray(train, np.uint8)
    return image_sources.ImageSplits(
        "mnist", train, train[:4], train[:5], max_value
    )


def numbered_splits(num_images):
    """Binary images `[1, 8]` that spell their own numbers."""
    numbers = np.arange(num_images, dtype=np.uint8)
    return make_splits(np.unpackbits(numbers)[:, None].reshape(-1, 1, 8), 1)


def make_config(batch_size, num_steps, binarization="static", seed=0):
    config = mnist.get_config("runlocal")
    config.training.update(
        {"batch_size": batch_size, "num_steps": num_steps, "seed": seed}
    )
    config.data.binarization = binarization
    return config


def batches(splits, config, first_step=0):
    dataset = data.training_dataset(splits, config, first_step)
    return np.array(list(dataset.as_numpy_iterator()))


def numbers(images):
    packed = np.packbits(images.astype(np.uint8), axis=-1)
    return packed.reshape(images.shape[:-2])


def test_epoch_shows_each_image_once_in_a_new_order():
    # 10 batches of 10 in an epoch; 3 images of each epoch are left out.
    shown = numbers(
        batches(numbered_splits(103), make_config(batch_size=10, num_steps=30))
    ).reshape(3, 100)
    for epoch in shown:
        assert len(set(epoch.tolist())) == 100
    assert len(set(shown.ravel().tolist())) == 103
    assert np.mean(shown[0] == shown[1]) < 0.1
    assert np.mean(np.diff(shown[0].astype(int)) == 1) < 0.1


def test_order_depends_on_the_seed():
    splits = numbered_splits(100)
    first, second = (
        numbers(batches(splits, make_config(50, 2, seed=seed)))
        for seed in (0, 1)
    )
    assert np.mean(first == second) < 0.1


@pytest.mark.parametrize("first_step", [1, 4, 7, 12])
def test_batches_depend_on_the_step_alone(first_step):
    train = np.random.default_rng(0).integers(0, 256, [21, 4, 4])
    config = make_config(4, 12, "dynamic")  # 5 batches in an epoch
    splits = make_splits(train, 255)
    whole = batches(splits, config)
    resumed = batches(splits, config, first_step)
    assert len(resumed) == 12 - first_step
    np.testing.assert_array_equal(
        whole[first_step:], resumed.reshape(-1, *whole.shape[1:])
    )


def test_batches_are_float_images_of_known_shape():
    dataset = data.training_dataset(numbered_splits(9), make_config(4, 1))
    assert dataset.element_spec == tf.TensorSpec([4, 1, 8], tf.float32)


def test_dynamic_binarisation_draws_pixels_by_their_intensity():
    intensities = np.tile(
        np.repeat([0, 1, 64, 128, 254, 255], 200), [10, 1]
    ).reshape(10, 6, 200)
    shown = batches(
        make_splits(intensities, 255), make_config(10, 20, "dynamic")
    )
    assert set(np.unique(shown)) == {0.0, 1.0}
    assert not shown[:, :, 0].any()
    assert shown[:, :, 5].all()
    means = shown.mean(axis=(0, 1, 3))  # of 40,000 draws
    np.testing.assert_allclose(
        means, np.array([0, 1, 64, 128, 254, 255]) / 255, atol=0.01
    )
    assert 0 < means[1] < means[4] < 1
    # New draws at every step, for every image and for another seed.
    other = batches(
        make_splits(intensities, 255), make_config(10, 20, "dynamic", seed=1)
    )
    for left, right in (
        (shown[0], shown[1]),
        (shown[:, 0], shown[:, 1]),
        (shown, other),
    ):
        assert np.mean((left == right)[..., 3, :]) < 0.6


def test_static_binarisation_draws_training_images_once():
    splits = make_splits(np.full([10, 5, 5], 128), 255)
    shown = batches(splits, make_config(10, 3, "static"))
    assert rows(shown[0]) == rows(shown[1]) == rows(shown[2])
    assert 0.3 < shown.mean() < 0.7
    expected = data.evaluation_images(splits, make_config(1, 1), "train")
    assert rows(shown[0]) == rows(expected)


def test_evaluation_images_are_drawn_once_by_index_and_split():
    images = np.full([30, 6, 6], 128)
    splits, config = make_splits(images, 255), make_config(1, 1, "dynamic")
    drawn = data.evaluation_images(splits, config, "train")
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_array_equal(
        drawn, data.evaluation_images(splits, config, "train")
    )
    fewer = data.evaluation_images(
        make_splits(images[:7], 255), config, "train"
    )
    np.testing.assert_array_equal(fewer, drawn[:7])
    assert len(set(rows(drawn))) == 30
    validation = data.evaluation_images(splits, config, "validation")
    test = data.evaluation_images(splits, config, "test")
    assert 0.3 < np.mean(validation == test[:4]) < 0.7
    config.training.seed = 5  # not of these
    np.testing.assert_array_equal(
        test, data.evaluation_images(splits, config, "test")
    )
    config.data.binarization_seed = 5
    other = data.evaluation_images(splits, config, "test")
    assert 0.3 < np.mean(other == test) < 0.7


def test_binary_images_stay_as_they_are():
    splits, config = numbered_splits(20), make_config(5, 1)
    images = data.evaluation_images(splits, config, "train")
    np.testing.assert_array_equal(numbers(images), np.arange(20))


def test_no_validation_images_are_none():
    splits = numbered_splits(20)._replace(
        validation=np.zeros([0, 1, 8], np.uint8), max_value=255
    )
    images = data.evaluation_images(splits, make_config(5, 1), "validation")
    assert images.shape == (0, 1, 8)


# Settings.


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.dataset", "cifar", "one of digits, mnist, .*; got 'cifar'"),
        ("data.binarization", "none", "dynamic, static; got 'none'"),
        ("data.binarization_seed", -1, r"in \[0, 2\*\*31\); got -1"),
        ("training.seed", 2**31, r"in \[0, 2\*\*31\); got 2147483648"),
        ("training.batch_size", 0, "multiple of .* replicas, 2; got 0"),
        ("training.batch_size", 25, "multiple of .* replicas, 2; got 25"),
    ],
)
def test_bad_setting_is_refused(key, value, message):
    config = digits.get_config()
    data.check_config(config, num_replicas=2)
    group, name = key.split(".")
    config[group][name] = value
    with pytest.raises(errors.InputError, match=f"`{key}` must be .*{message}"):
        data.check_config(config, num_replicas=2)


def test_binary_images_cannot_be_drawn_anew():
    config = binarized_mnist.get_config()
    data.check_config(config)
    config.data.binarization = "dynamic"
    with pytest.raises(errors.InputError, match="static for binarized_mnist"):
        data.check_config(config)


def test_batch_of_more_images_than_there_are():
    config = digits.get_config()
    config.training.batch_size = 1297
    assert len(data.load_splits(config).train) == 1297
    config.training.batch_size = 1298
    with pytest.raises(errors.InputError, match="at most .* 1297; got 1298"):
        data.load_splits(config)


def test_load_splits_follows_the_config():
    splits = data.load_splits(digits.get_config("recipe=paper"))
    assert len(splits.train) == 1497
    assert len(splits.validation) == 0


def test_protocol_says_what_was_done():
    config = digits.get_config()
    protocol = data.protocol(data.load_splits(config), config)
    assert protocol == {
        "dataset": "digits",
        "image_shape": [8, 8],
        "num_train": 1297,
        "num_validation": 200,
        "num_test": 300,
        "training_binarization": "drawn anew at every step, P(1) = intensity",
        "evaluation_binarization": "drawn once, P(1) = intensity, seed 0",
    }
    config.data.binarization = "static"
    protocol = data.protocol(data.load_splits(config), config)
    assert protocol["training_binarization"].startswith("drawn once")
    binary = data.protocol(numbered_splits(9), binarized_mnist.get_config())
    assert binary["evaluation_binarization"] == "that of the data set"
