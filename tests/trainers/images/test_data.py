"""Tests of the batches made of images, and of test sets."""

import numpy as np
import pytest
import tensorflow as tf

from configs import binarized_mnist, digits, mnist
from trainers.images import data
from trainers.runs import errors
from trainers.sources import images as image_sources


def rows(images):
    return sorted(image.tobytes() for image in images)


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
        ("data.dataset", "", "one of digits, .*, npz, folder, .*; got ''"),
        ("data.binarization", "none", "dynamic or static under .*; got 'none'"),
        ("data.dequantization", "uniform", "none under .*; got 'uniform'"),
        ("data.split_seed", -1, r"in \[0, 2\*\*31\); got -1"),
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
