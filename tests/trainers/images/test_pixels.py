"""What becomes of pixels under each likelihood."""

import numpy as np
import pytest
import tensorflow as tf

from configs import images as images_config
from trainers.images import data, pixels
from trainers.runs import errors
from trainers.sources.images import ImageSplits

LEVELS = np.arange(240, dtype=np.uint8).reshape(20, 4, 3)


def make_config(likelihood, **settings):
    config = images_config.get_config(
        f"dataset=npz,likelihood={likelihood},runlocal"
    )
    config.data.path = "faces.npz"
    config.data.update(settings)
    config.training.update({"batch_size": 20, "num_steps": 3})
    data.check_config(config)
    return config


def make_splits(images, max_value):
    return ImageSplits("faces", images, images[:4], images[:5], max_value)


def training_batches(splits, config):
    dataset = data.training_dataset(splits, config)
    return [np.sort(batch, axis=0) for batch in dataset.as_numpy_iterator()]


@pytest.mark.parametrize("likelihood", ["gaussian", "logit_normal"])
def test_noise_fills_the_levels(likelihood):
    splits, config = make_splits(LEVELS, 255), make_config(likelihood)
    once = data.evaluation_images(splits, config, "train")
    assert once.dtype == np.float32
    # Each pixel lies in the bin of its level, anywhere.
    within = once * 256 - LEVELS
    assert 0 <= within.min() < 0.05
    assert 0.95 < within.max() < 1
    assert abs(within.mean() - 0.5) < 0.06
    np.testing.assert_array_equal(
        once, data.evaluation_images(splits, config, "train")
    )
    np.testing.assert_array_equal(  # by its index and split alone
        data.evaluation_images(
            splits._replace(train=LEVELS[:3]), config, "train"
        ),
        once[:3],
    )
    assert np.any(
        data.evaluation_images(splits, config, "validation") != once[:4]
    )
    first, second, _ = training_batches(splits, config)
    assert np.any(first != second)
    np.testing.assert_array_equal(  # one epoch is one batch
        np.floor(first * 256), np.floor(second * 256)
    )


@pytest.mark.parametrize(
    ("likelihood", "settings"),
    [
        ("logit_normal", {"dequantization": "none"}),
        ("discretized_logistic", {}),
    ],
)
def test_levels_alone(likelihood, settings):
    config = make_config(likelihood, **settings)
    splits = make_splits(LEVELS, 255)
    once = data.evaluation_images(splits, config, "train")
    np.testing.assert_allclose(once, LEVELS / 255, rtol=1e-6)
    for batch in training_batches(splits, config):
        np.testing.assert_allclose(batch, LEVELS / 255, rtol=1e-6)


def test_numbers_in_the_unit_interval_are_probabilities_of_ones():
    images = np.repeat([0.0, 0.25, 1.0], 2_000).astype(np.float32)
    splits = make_splits(np.tile(images, [20, 1])[..., None], None)
    config = make_config("bernoulli")
    once = data.evaluation_images(splits, config, "train")
    for drawn in (once, *training_batches(splits, config)):
        assert set(np.unique(drawn)) == {0.0, 1.0}
        means = drawn.reshape(20, 3, 2_000).mean(axis=(0, 2))
        assert means[0] == 0
        assert means[2] == 1
        assert means[1] == pytest.approx(0.25, abs=0.01)


def test_real_numbers_are_those_of_a_gaussian():
    images = np.random.default_rng(0).normal(size=[20, 4, 3])
    splits = make_splits(images.astype(np.float32), None)
    config = make_config("gaussian")
    once = data.evaluation_images(splits, config, "train")
    np.testing.assert_array_equal(once, splits.train)


def test_values_outside_of_the_support_are_counted():
    images = np.full([20, 4, 3], 0.5, np.float32)
    images[7, 2, 1] = images[8, 0, 0] = 1.5
    for likelihood in ("bernoulli", "logit_normal"):
        with pytest.raises(
            errors.InputError,
            match=r"faces.*got 1.5 in image 7 of train .* at \(2, 1\).* of 2 s",
        ):
            pixels.Pixels(make_splits(images, None), make_config(likelihood))


@pytest.mark.parametrize(
    ("max_value", "message"),
    [(None, "floating-point"), (16, "from 0 to 16"), (1, "from 0 to 1")],
)
def test_levels_are_those_of_bytes(max_value, message):
    splits = make_splits(np.ones([20, 4, 3]), max_value)
    with pytest.raises(errors.InputError, match=message):
        pixels.Pixels(splits, make_config("discretized_logistic"))


@pytest.mark.parametrize(
    ("likelihood", "settings", "message"),
    [
        ("gaussian", {"binarization": "dynamic"}, "none under .* gaussian"),
        ("bernoulli", {"binarization": "none"}, "dynamic or static under"),
        ("bernoulli", {"dequantization": "uniform"}, "none under .* bernoulli"),
        ("gaussian", {"dequantization": "static"}, "none or uniform under"),
        ("gaussian", {"path": ""}, "`--data_path` must name an .npz"),
        ("gaussian", {"dataset": "mnist"}, "not be given with .*mnist"),
    ],
)
def test_settings_that_do_not_fit(likelihood, settings, message):
    with pytest.raises(errors.InputError, match=message):
        make_config(likelihood, **settings)


def test_bits_per_dimension():
    """A uniform density or mass takes the eight bits of a byte."""
    splits = make_splits(LEVELS, 255)
    size = 12
    of_mass = -size * np.log(256)
    for likelihood, nats in (
        ("discretized_logistic", of_mass),
        ("gaussian", 0.0),  # a density of 1 on [0, 1]
    ):
        found = pixels.bits_per_dimension(splits, make_config(likelihood), nats)
        assert found == pytest.approx(8.0)
    without_noise = make_config("gaussian", dequantization="none")
    assert pixels.bits_per_dimension(splits, without_noise, 0.0) is None


def test_binary_images_are_kept_as_they_are():
    binary = LEVELS % 2
    splits, config = make_splits(binary, 1), make_config("bernoulli")
    once = data.evaluation_images(splits, config, "train")
    np.testing.assert_array_equal(once, binary)
    for batch in training_batches(splits, config):
        np.testing.assert_array_equal(batch, np.sort(binary, axis=0))
    assert data.protocol(splits, config) == {
        "dataset": "faces",
        "image_shape": [4, 3],
        "num_train": 20,
        "num_validation": 4,
        "num_test": 5,
        "training_binarization": "that of the data set",
        "evaluation_binarization": "that of the data set",
    }
    spec = data.training_dataset(splits, config).element_spec
    assert spec == tf.TensorSpec([20, 4, 3], tf.float32)
