"""Tests of the table of continuously-indexed flows over images."""

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
    assert "| -83.000 ± 0.500 | -82.250 ± 0.000 | -82.95 ± 0.11 |" in lines[3]
    assert lines[4].startswith("| mnist | CIF of splines |")


def test_they_are_no_rows_of_the_other_table():
    assert images.mnist([result()]).startswith("Not measured")
    assert cif.cif_images([test_images.result()]).startswith("Not measured")
