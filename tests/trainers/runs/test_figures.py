"""Pictures made of many images."""

import numpy as np
import pytest
from matplotlib import figure

from trainers.runs import figures


def _drawn(images, **labels):
    axes = figure.Figure().subplots()
    figures.draw_tiles(axes, images, "title", **labels)
    return axes


@pytest.mark.parametrize("size", [4, 28])
def test_tiles_have_gutters_between_them(size):
    images = np.zeros([2, 3, size, size])
    images[1, 2] = 1.0
    (picture,) = _drawn(images).images
    pixels = picture.get_array()
    gutter = max(1, size // 14)
    height = 2 * size + gutter
    assert pixels.shape == (height, 3 * size + 2 * gutter, 3)
    assert (pixels[size : size + gutter] == pixels[size, 0, 0]).all()
    assert 0 < pixels[size, 0, 0] < 1
    assert (pixels[-size:, -size:] == 1).all()
    assert (pixels[:size, :size] == 0).all()


def test_colours_stay_and_other_channels_are_averaged():
    colours = np.random.default_rng(0).uniform(size=[1, 1, 4, 4, 3])
    (picture,) = _drawn(colours).images
    np.testing.assert_array_equal(picture.get_array(), colours[0, 0])
    (picture,) = _drawn(colours[..., :2]).images
    grey = colours[0, 0, ..., :2].mean(-1)
    np.testing.assert_allclose(picture.get_array()[..., 0], grey)


def test_labels_stand_beside_their_tiles():
    axes = _drawn(
        np.zeros([2, 3, 4, 6]), row_labels="ab", column_labels=["x", "y", "z"]
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    np.testing.assert_allclose(axes.get_yticks(), [1.5, 6.5])
    np.testing.assert_allclose(axes.get_xticks(), [2.5, 9.5, 16.5])


def test_curves_say_where_they_end():
    metrics = [
        {"step": 1, "elbo": -9.0, "val_elbo": -8.0},
        {"step": 2, "elbo": -3.456},
    ]
    axes = figure.Figure().subplots()
    figures.draw_learning_curve(axes, metrics, "elbo")
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == [
        "training, -3.46 at the end",
        "validation, -8.00 at the end",
    ]
