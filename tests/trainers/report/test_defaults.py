"""Tests of the table of what the library's defaults are chosen by."""

import numpy as np

from tests.trainers.report.test_images import result
from trainers.report import defaults, images

LIBRARY = {"annealing": "auto", "annealing_steps": None}
GIVEN = {"annealing": "none", "annealing_steps": 1}


def run(elbo, flow="planar", training=LIBRARY, scale=None, **changes):
    """A run on three test images, of which two have an ln p(x)."""
    estimator = "auto" if training is LIBRARY else "sticking_the_landing"
    return result(
        flow,
        0 if flow == "none" else 4,
        group="defaults",
        per_image={
            "elbo": np.float32(elbo),
            "iwae_500": np.float32(elbo[:2]) + 1,
        },
        num_steps=600,
        gradient_estimator="sticking_the_landing",
        context_scales=[] if flow == "none" else [0.25],
        config={
            "training": {
                "gradient_estimator": estimator,
                "num_importance_samples": 1,
                **training,
            },
            "posterior": {"context_scale": scale},
            "evaluation": {"num_importance_samples": 500},
        },
        **{"annealing": {"name": "NoAnnealing"}, **changes},
    )


def rows(table):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("| ") and "---" not in line
    ]


def test_other_settings_are_differences_to_the_defaults():
    kl = {"annealing": "kl", "annealing_steps": 100}
    table = defaults.defaults(
        [
            run([1, 2, 3]),
            run([1, 2, 4.5], training=GIVEN, scale=0.25),
            run([0, 0, 0], training=GIVEN, scale=1.0),
            run([1, 2, 3], training=kl, scale=0.5),
            run([9, 9, 9], flow="none"),
        ]
    )
    assert rows(table) == [
        ["flow", "settings", "mnist"],
        ["none", "**the defaults**", "9.00 ± 0.00 / 10.00 ± 0.00"],
        ["planar", "**the defaults**", "2.00 ± 0.58 / 2.50 ± 0.50"],
        [
            "planar",
            "the same, said by the config",
            "+0.50 ± 0.50 / +0.00 ± 0.00",
        ],
        ["planar", "`context_scale` 1", "-2.00 ± 0.58 / -1.50 ± 0.50"],
        [
            "planar",
            "`context_scale` 1 / sqrt(K), KL annealed over 1/6",
            "+0.00 ± 0.00 / +0.00 ± 0.00",
        ],
    ]
    assert "600 updates, S = 500" in table


def test_seeds_and_data_sets_are_compared_with_their_own():
    given = {"training": GIVEN, "scale": 1.0}
    table = defaults.defaults(
        [
            run([1, 1, 1], seed=0),
            run([2, 2, 2], seed=0, **given),
            run([5, 5, 5], seed=1),
            run([8, 8, 8], seed=1, **given),
            run([5, 5, 5], seed=2, **given),  # without its default
            run([7, 7, 7], dataset="digits"),
        ]
    )
    found = rows(table)
    assert found[0][2:] == ["mnist", "digits"]
    assert found[1][2:] == [
        "3.00 ± 0.00 / 4.00 ± 0.00",
        "7.00 ± 0.00 / 8.00 ± 0.00",
    ]
    assert found[2][2:] == ["+2.00 ± 0.00 / +2.00 ± 0.00", "-"]


def test_flows_stand_in_one_order():
    names = ["planar", "iaf", "none", "radial", "maf", "conf"]
    found = rows(defaults.defaults([run([1, 2, 3], name) for name in names]))
    expected = ["none", "conf", "iaf", "maf", "planar", "radial"]
    assert [row[0] for row in found[1:]] == expected


def test_what_auto_stood_for_is_compared():
    annealed = {"name": "KLAnnealing", "num_steps": 100, "initial": 0.0}
    table = defaults.defaults(
        [
            run([1, 2, 3], "iaf", annealing=annealed),
            run([1, 2, 3], "iaf", training=GIVEN, scale=0.25),
        ]
    )
    assert rows(table)[-1][1] == "not annealed"


def test_other_tables_leave_these_runs_out():
    assert images.mnist([run([1, 2, 3])]).startswith("Not measured")
    assert defaults.defaults([result()]).startswith("Not measured")
