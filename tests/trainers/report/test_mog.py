"""Tests of the table of the mixtures."""

from tests.trainers.report import test_main
from trainers.report import mog


def result(posterior="flow", seed=0, **changes):
    return {
        **test_main.result("mog9", "spline_autoregressive", 5, seed),
        "experiment": "mixture",
        "posterior": posterior,
        "num_modes": 9,
        "num_modes_found": 8,
        "between_modes": 0.02,
        "config": {"posterior": {"initial_scale": 0.1}},
        **changes,
    }


def cif(seed, lower, upper):
    found = result("cif", seed, num_parameters=31_680)
    del found["kl"]
    return {
        **found,
        "kl_lower": lower,
        "kl_upper": upper,
        "num_auxiliary_samples": 100,
    }


def test_flows_have_a_divergence_and_cifs_two_bounds():
    runs = [
        result(seed=0, kl=0.1, num_parameters=29_190),
        result(seed=1, kl=0.3, num_parameters=29_190, num_modes_found=9),
        cif(0, 0.01, 0.03),
        cif(1, 0.03, 0.05),
    ]
    lines = mog.mixtures(runs).splitlines()
    assert lines[2].startswith(
        "| 9 | 0.1 | splines | 29,190 | 0.200 ± 0.100 | 8, 9 | 2.0 % |"
    )
    assert lines[3].startswith(
        "| 9 | 0.1 | CIF of splines | 31,680 | "
        "0.020 ± 0.010 to 0.040 ± 0.010 | 8, 8 |"
    )
    assert "of 100 further u for each z" in lines[-1]


def test_one_seed_has_no_standard_error():
    assert "| 0.100 |" in mog.mixtures([result(kl=0.1)])


def test_no_runs_are_said():
    assert mog.mixtures([test_main.result()]).startswith("Not measured")
