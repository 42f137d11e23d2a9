"""Tests of the tables of continuously-indexed flows over images."""

import numpy as np
import pytest

from tests.trainers.report import test_images
from trainers.report import cif, images


def result(posterior="flow", flow="spline_autoregressive", **changes):
    found = test_images.result(flow, 10, num_importance_samples=1_000)
    bound = "auxiliary_elbo" if posterior == "cif" else "elbo"
    return {
        **found,
        "recipe": "cif",
        "posterior": posterior,
        "bound": bound,
        bound: -83.5,
        "iwae_100": -82.5,
        "iwae_1000": -82.25,
        "fewer_importance_samples": 100,
        "num_steps": 27_500,
        "evaluated_step": 5_500,
        "validation_nats_per_step": 1e-5,
        "config": {"training": {"batch_size": 100}},  # 550 steps an epoch
        **changes,
    }


def test_rows_are_vae_splines_and_cif():
    runs = [
        result("cif"),
        result(),
        result(seed=1, iwae_100=-83.5),
        result(flow="none"),
    ]
    lines = cif.cif_images(runs).splitlines()
    assert "| bound | ln p(x), S = 100 | S = 1,000 |" in lines[0]
    assert lines[2].startswith("| mnist | VAE | 1,234,567 | 0 | -83.500 |")
    assert lines[3].startswith("| mnist | splines | 1,234,567 | 0, 1 |")
    assert lines[2].endswith("| 50 | 10 | +0.0055 | 5.4 |")
    assert "| -83.000 ± 0.500 | -82.250 ± 0.000 | -82.95 ± 0.11 |" in lines[3]
    assert lines[4].startswith("| mnist | CIF of splines |")


def test_they_are_no_rows_of_the_other_table():
    assert images.mnist([result()]).startswith("Not measured")
    assert cif.cif_images([test_images.result()]).startswith("Not measured")


def test_epochs_and_slopes_are_ranges_over_the_seeds():
    runs = [
        result(num_steps=44_000, validation_nats_per_step=-2e-5),
        result(seed=1, evaluated_step=11_000),
    ]
    lines = cif.cif_images(runs).splitlines()
    assert "| epochs | of the best | last slope | ms |" in lines[0]
    cells = "| 50 to 80 | 10 to 20 | -0.0110 to +0.0055 | 5.4 |"
    assert lines[2].endswith(cells)
    assert "Epochs of 550 steps" in lines[-1]


def test_slope_that_was_not_noted_is_said_so():
    run = result()
    assert "not noted" not in cif.cif_images([run])
    del run["validation_nats_per_step"]
    found = cif.cif_images([run])
    assert "| 50 | 10 | - | 5.4 |" in found
    assert "not noted by earlier versions" in found


def with_images(images, **changes):
    run = result(**changes)
    names = [run["bound"], "iwae_100", "iwae_1000"]
    run["per_image"] = {
        name: np.float32(images) + i for i, name in enumerate(names)
    }
    return run


def differences(runs):
    """The rows of the second table, if there is one."""
    _, _, second = cif.cif_images(runs).partition("| difference |")
    return test_images.rows("|" + second)[2:]


def test_differences_are_paired_image_by_image():
    runs = [
        with_images([1.0, 2.0, 3.0], posterior="cif"),
        with_images([1.0, 3.0, 5.0]),
        with_images([0.0, 0.0, 0.0], flow="none", num_steps=9_000),
    ]
    first, second = differences(runs)
    error = 1.96 * 2 / 3**0.5
    expected = f"+3.000 ({3 - error:+.3f} to {3 + error:+.3f})"
    assert first == [
        *("mnist", "splines - VAE", "0", *[expected] * 3),
        *("+4.42 ± 0.19", "at least 2"),
    ]
    error = 1.96 / 3**0.5
    expected = f"-1.000 ({-1 - error:+.3f} to {-1 + error:+.3f})"
    assert second == [
        *("mnist", "CIF of splines - splines", "0", *[expected] * 3),
        *("+0.73 ± 0.17", "-"),
    ]


def test_several_seeds_have_a_row_of_their_own():
    zeros = [0.0, 0.0, 0.0]
    runs = [
        with_images(zeros, flow="none", seed=0),
        with_images(zeros, flow="none", seed=1),
        with_images([3.0, 4.0, 5.0], seed=1),
        with_images([1.0, 2.0, 3.0], seed=0),
    ]
    found = differences(runs)
    assert [row[2] for row in found] == ["0", "1", "all"]
    # Means of the images 2, 3, 4; means of the seeds 2 and 4.
    assert found[-1][3] == "**+3.000 (+1.868 to +4.132)**, ± 1.000"


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"dataset": "fashion_mnist"},
        {"num_planned_steps": 200},
        {"num_elbo_samples": 2},
    ],
)
def test_unequal_runs_are_no_pair(changes):
    zeros = [0.0, 0.0, 0.0]
    runs = [with_images(zeros, flow="none"), with_images(zeros, **changes)]
    assert not differences(runs)
    assert "paired" not in cif.cif_images(runs)
