"""Tests of the table of the logistic regressions."""

from tests.trainers.report import test_main
from trainers.report import logistic_regression


def result(posterior, length, gap, seed=0):
    found = test_main.result("sonar", "none", 0, seed)
    del found["kl"]
    bridged = {"num_bridges": length, "auxiliary_kl": gap}
    return {
        **found,
        "experiment": "logistic_regression",
        "posterior": posterior,
        "log_normalizer": -108.378,
        "config": {"posterior": {"base": "full"}},
        **(bridged if length else {"kl": gap}),
    }


def test_gaussian_alone_is_the_first_column_of_both_kinds():
    runs = [
        result("flow", 0, 0.5),
        result("flow", 0, 0.7, seed=1),
        result("hamiltonian", 4, 0.4),
        result("langevin", 16, 0.3),
    ]
    lines = logistic_regression.bridges(runs).splitlines()
    assert "| gap, K = 0 | gap, K = 4 | gap, K = 16 |" in lines[0]
    assert lines[2].startswith(
        "| sonar | -108.378 | full | Hamiltonian | 0.600 ± 0.100 | 0.400 | - |"
    )
    assert lines[3].startswith(
        "| sonar | -108.378 | full | Langevin | 0.600 ± 0.100 | - | 0.300 |"
    )


def test_no_runs_are_said():
    assert logistic_regression.bridges([]).startswith("Not measured")
