"""Tests of the tables of the runs on images."""

import numpy as np
import pytest

from trainers.report import images as report_images


def result(flow="none", length=0, seed=0, elbo=-90.0, **changes):
    iwae = f"iwae_{changes.get('num_importance_samples', 500)}"
    return {
        "experiment": "dlgm",
        "dataset": "mnist",
        "flow": flow,
        "num_flow_steps": length,
        "num_stochastic_layers": 1,
        "recipe": "modern",
        "seed": seed,
        "elbo": elbo,
        "elbo_standard_error": 0.25,
        "kl": 25.0,
        "kl_standard_error": 0.05,
        iwae: elbo + 4.0,
        f"{iwae}_standard_error": 0.5,
        "num_elbo_samples": 16,
        "num_importance_samples": 500,
        "num_iwae_images": 2_000,
        "protocol": {
            "dataset": "mnist",
            "num_train": 55_000,
            "num_validation": 5_000,
            "num_test": 10_000,
            "training_binarization": "drawn anew at every step",
            "evaluation_binarization": "drawn once, seed 0",
        },
        "num_steps": 60_000,
        "num_planned_steps": 60_000,
        "unfinished": False,
        "stopped_early": False,
        "evaluated_weights": "best validation ELBO",
        "evaluated_step": 58_000,
        "num_parameters": 1_234_567,
        "seconds_per_step": 0.0054,
        "finished": "2030-01-02T03:04:05+00:00",
        "hardware": {"cpu": "Some CPU", "cores": 2, "accelerators": []},
        "commit": "0123456789abcdef",
        "dirty": False,
        **changes,
    }


def digit(flow, seed, elbo, iwae, **changes):
    """A run on three test images."""
    elbo, iwae = np.float32(elbo), np.float32(iwae)
    return result(
        flow,
        0 if flow == "none" else 16,
        seed,
        float(elbo.mean()),
        **{
            "dataset": "digits",
            "num_importance_samples": 1_000,
            "num_elbo_samples": 64,
            "per_image": {"elbo": elbo, "iwae_1000": iwae},
            **changes,
        },
    )


def rows(table):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]


def test_digits_are_paired_image_by_image():
    runs = [
        digit("none", 0, [-20.0, -30.0, -40.0], [-19.0, -29.0, -39.0]),
        digit("planar", 0, [-19.0, -28.0, -37.0], [-19.0, -29.5, -39.0]),
    ]
    (row,) = rows(report_images.digits(runs))[2:]
    # Differences 1, 2, 3 and 0, -0.5, 0.
    assert row[:2] == ["planar, K = 16", "0"]
    assert row[2] == "-30.00 ± 0.25"
    assert row[4] == "+2.000 ± 0.577"
    assert row[7] == "-0.167 ± 0.167"


def test_row_of_all_seeds_has_both_errors():
    zeros = [0.0, 0.0, 0.0]
    runs = [
        digit("none", 0, zeros, zeros),
        digit("none", 1, zeros, zeros),
        digit("planar", 0, [1.0, 2.0, 3.0], zeros),
        digit("planar", 1, [3.0, 4.0, 5.0], zeros),
    ]
    found = rows(report_images.digits(runs))[2:]
    assert [row[1] for row in found] == ["0", "1", "all"]
    assert found[-1][2:4] == ["0.00", "3.00"]
    # Means of the images 2, 3, 4; means of the seeds 2 and 4.
    assert found[-1][4] == "**+3.000 ± 0.577** (± 1.000)"


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"recipe": "paper"},
        {"num_steps": 500},
        {"num_elbo_samples": 2},
        {"config": {"training": {"annealing": "kl"}}},
        {"protocol": {**result()["protocol"], "num_test": 7}},
    ],
)
def test_unequal_runs_are_no_pair(changes):
    ones = [1.0, 2.0, 3.0]
    runs = [
        digit("none", **{"seed": 0, "elbo": ones, "iwae": ones}),
        digit("planar", **{"seed": 0, "elbo": ones, "iwae": ones, **changes}),
    ]
    assert report_images.digits(runs).startswith("Not measured")


def test_mnist_row_says_what_was_run():
    table = report_images.mnist(
        [result("planar", 40), result(), digit("none", 0, [1.0], [1.0])]
    )
    first, second = rows(table)[2:4]
    assert first == [
        "mnist",
        "modern",
        "none",
        "60,000",
        "best validation, step 58,000",
        "0",
        "90.00 ± 0.25",
        "86.00 ± 0.50",
        "500, 2,000",
        "25.00 ± 0.05",
        "1,234,567",
        "5.4",
    ]
    assert second[2] == "planar, K = 40"
    assert "digits" not in table
    for words in (
        "16 samples of each",
        "55,000 / 5,000 / 10,000 images",
        "drawn anew at every step, the others drawn once, seed 0",
        "Some CPU, 2 cores; 2030-01-02; commit 0123456789.",
    ):
        assert words in table


def test_mnist_row_says_that_the_kl_divergence_was_annealed():
    config = {"training": {"annealing": "kl", "annealing_steps": 9_000}}
    text = report_images.mnist([result("iaf", 4, config=config)])
    assert "| iaf, K = 4; KL annealed |" in text
    assert "over the first 9,000 steps" in text
    assert "annealed" not in report_images.mnist([result("iaf", 4)])
    chosen = {"name": "KLAnnealing", "num_steps": 7_000, "initial": 0.0}
    config = {"training": {"annealing": "auto", "annealing_steps": None}}
    text = report_images.mnist(
        [result("iaf", 4, config=config, annealing=chosen)]
    )
    assert "| iaf, K = 4; KL annealed |" in text
    assert "over the first 7,000 steps" in text


def test_unfinished_run_is_labelled_with_its_curve():
    unfinished = {
        "recipe": "paper",
        "num_steps": 20_000,
        "evaluated_weights": "newest",
        "evaluated_step": 20_000,
        "num_planned_steps": 500_000,
        "unfinished": True,
    }
    curve = "results/mnist/paper/figures/learning_curve.png"
    for pictures, label in (
        ({}, "unfinished"),
        ({"learning_curve": curve}, f"[unfinished]({curve})"),
    ):
        run = result("planar", 40, pictures=pictures, **unfinished)
        row = rows(report_images.mnist([run]))[2]
        assert row[3] == f"20,000 of 500,000, **{label}**"
        assert row[4] == "last"


def test_dirty_checkout_and_early_stop_are_not_hidden():
    table = report_images.mnist([result(dirty=True, stopped_early=True)])
    assert "0123456789 (dirty)" in table
    assert "60,000 (stopped early)" in table


def test_mnist_pair_has_its_difference():
    images = {"elbo": np.float32([1, 2, 3]), "iwae_500": np.float32([0, 0])}
    better = {"elbo": np.float32([4, 5, 6]), "iwae_500": np.float32([1, 3])}
    runs = [
        result(per_image=images),
        result("planar", 40, per_image=better),
        result("planar", 40, seed=1, per_image=better),
    ]
    sentences = [
        line
        for line in report_images.mnist(runs).splitlines()
        if "minus" in line
    ]
    assert sentences == [
        "mnist, modern, seed 0, planar, K = 40 minus no flow, paired over the "
        "same images and noise: ELBO +3.000 ± 0.000, ln p(x) +2.000 ± 1.000."
    ]


def test_a_prior_is_compared_at_an_equal_posterior():
    images = {"elbo": np.float32([1, 2, 3]), "iwae_500": np.float32([0, 0])}
    better = {"elbo": np.float32([2, 3, 4]), "iwae_500": np.float32([1, 3])}
    prior = {"prior": "iaf", "num_prior_steps": 4}
    runs = [
        result(per_image=images),
        result("iaf", 4, per_image=images),
        result("iaf", 4, per_image=better, **prior),
    ]
    text = report_images.mnist(runs)
    sentences = [line for line in text.splitlines() if "minus" in line]
    assert sentences == [
        "mnist, modern, seed 0, iaf, K = 4 minus no flow, paired over the same "
        "images and noise: ELBO +0.000 ± 0.000, ln p(x) +0.000 ± 0.000.",
        "mnist, modern, seed 0, iaf, K = 4; prior iaf, K = 4 minus a standard "
        "normal prior, paired over the same images and noise: ELBO +1.000 ± "
        "0.000, ln p(x) +2.000 ± 1.000.",
    ]
    assert "| iaf, K = 4; prior iaf, K = 4 |" in text


def test_annealed_runs_are_compared_with_each_other():
    images = {"elbo": np.float32([1, 2, 3]), "iwae_500": np.float32([0, 0])}
    config = {"training": {"annealing": "kl", "annealing_steps": 9_000}}
    runs = [
        result(flow, length, per_image=images, **kind)
        for flow, length in (("none", 0), ("iaf", 4))
        for kind in ({}, {"config": config})
    ]
    text = report_images.mnist(runs)
    found = [
        line.split(", paired")[0]
        for line in text.splitlines()
        if "minus" in line
    ]
    assert found == [
        "mnist, modern, seed 0, iaf, K = 4 minus no flow",
        "mnist, modern, seed 0, iaf, K = 4; KL annealed minus no flow, KL "
        "annealed too",
    ]


def test_published_figures_stand_apart():
    text = report_images.mnist([result()])
    ours, _, references = text.partition("| published")
    assert "96.75 / 89.9 " in references
    assert "92.47 / 88.92" in references
    assert "dynamic" in references
    assert "89.9" not in ours


def test_other_experiments_are_ignored():
    other = [{"experiment": "energy"}, {"benchmark": "training"}]
    for table in (report_images.digits, report_images.mnist):
        assert table(other).startswith("Not measured")
