"""Tests of the tables on Hamiltonian posteriors."""

import numpy as np
import pytest

from tests.trainers.report.test_images import digit, rows
from trainers.report import hamiltonian, images

MODEL = {"activation": "gelu", "hidden_units": [128], "latent_size": 10}
CONFIG = {"model": MODEL, "training": {"annealing": "none"}}
ZEROS = (0.0, 0.0, 0.0)


def run(flow, elbo, seed=0, **changes):
    return digit(flow, seed, elbo, elbo, **{"config": CONFIG, **changes})


def bridges(bound, seed=0, **changes):
    """As the others were made by an earlier version, and this one was not."""
    found = run(
        "none",
        bound,
        seed,
        posterior="hamiltonian",
        posterior_in_words="no flow, 4 Hamiltonian bridges",
        bound="auxiliary_elbo",
        auxiliary_elbo=float(np.mean(bound)),
        seconds_per_step=0.0125,
        num_parameters=1_234_611,
        annealing={"name": "NoAnnealing"},
        **changes,
    )
    found["per_image"]["auxiliary_elbo"] = found["per_image"].pop("elbo")
    return found


def test_models_stand_above_their_paired_differences():
    table = hamiltonian.hamiltonian(
        [
            run("planar", [1.0, 1.0, 1.0]),
            bridges([1.0, 2.0, 3.0]),
            run("none", ZEROS),
        ]
    )
    found = rows(table)
    assert found[0][:3] == ["posterior", "weights", "seeds"]
    assert [row[0] for row in found[2:5]] == [
        "none",
        "planar, K = 16",
        "4 Hamiltonian bridges",
    ]
    assert found[4][1:] == [
        *("1,234,611", "0", "2.000", "6.000"),
        *("12.5", "Some CPU, 2 cores"),
    ]
    # Differences 1, 2, 3 and 0, 1, 2.
    assert found[7:] == [
        [
            "4 Hamiltonian bridges - none",
            "0",
            "+2.000 (+0.868 to +3.132)",
            "+2.000 (+0.868 to +3.132)",
        ],
        [
            "4 Hamiltonian bridges - planar, K = 16",
            "0",
            "+1.000 (-0.132 to +2.132)",
            "+1.000 (-0.132 to +2.132)",
        ],
    ]
    assert "of gelu units" in table


def test_seeds_are_those_that_are_compared():
    table = hamiltonian.hamiltonian(
        [
            *(run("none", ZEROS, seed) for seed in (0, 1, 2)),
            bridges([1.0, 2.0, 3.0], 0),
            bridges([3.0, 4.0, 5.0], 1),
        ]
    )
    found = rows(table)
    assert [row[2] for row in found[2:4]] == ["0, 1", "0, 1"]
    assert found[3][3] == "3.000 ± 1.000"
    assert [row[1] for row in found[6:]] == ["0", "1", "all"]
    assert found[-1][2] == "**+3.000 (+1.868 to +4.132)**, ± 1.000"


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"num_steps": 500},
        {"prior": "iaf", "num_prior_steps": 4},
        {"annealing": {"name": "KLAnnealing", "num_steps": 100}},
        {"config": {**CONFIG, "model": {**MODEL, "activation": "relu"}}},
    ],
)
def test_unequal_runs_are_not_compared(changes):
    runs = [bridges(ZEROS), run("none", ZEROS, **changes)]
    assert hamiltonian.hamiltonian(runs).startswith("Not measured: no pair")


def test_bridges_are_no_rows_of_the_digits():
    runs = [bridges([1.0, 2.0, 3.0]), run("none", ZEROS)]
    assert images.digits(runs).startswith("Not measured")
    assert hamiltonian.hamiltonian(runs).endswith("of this benchmark.")
