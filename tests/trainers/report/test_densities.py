"""Tests of the tables of densities of data."""

from trainers.report import densities, sbibm

PROVENANCE = {
    "finished": "2030-01-02T03:04:05+00:00",
    "hardware": {"cpu": "Some CPU", "cores": 2, "accelerators": []},
    "commit": "0123456789abcdef",
    "dirty": False,
    "num_parameters": 1_234,
    "seconds_per_step": 0.002,
}


def planar(data="checkerboard", flow="planar", seed=0, nll=3.5, **changes):
    found = {
        "experiment": "density_2d",
        "dataset": data,
        "seed": seed,
        "log_likelihood": -nll,
        "log_likelihood_standard_error": 0.002,
        "num_steps": 20_000,
        "protocol": {"num_test": 200_000},
        "config": {"model": {"flow": flow}},
        **PROVENANCE,
        **changes,
    }
    if data == "checkerboard":
        found |= {"entropy": 3.466, "kl": nll - 3.466}
    return found


def test_densities_stand_beside_the_entropy():
    runs = [
        planar(seed=0, nll=3.6),
        planar(seed=1, nll=3.8),
        planar(flow="spline_coupling", nll=3.48),
        planar("two_moons", "spline_coupling", nll=1.2),
    ]
    lines = densities.densities_2d(runs).splitlines()
    assert lines[0] == "| data | entropy | planar | NSF, coupling |"
    assert lines[2] == (
        "| checkerboard | 3.466 | 3.700 ± 0.100 (+0.234) | 3.480 (+0.014) |"
    )
    assert lines[3] == "| two moons | - | - | 1.200 |"
    assert "20,000 steps" in lines[-1]
    assert "planar 1,234 weights and 2.0 ms" in lines[-1]


def table(data="fish", model="gaussian", values=(1.0, 1.2), **changes):
    return {
        "experiment": "uci_density_sweep",
        "dataset": data,
        "model": model,
        "chosen": "more_noise",
        "num_search_splits": 3,
        "validation_log_likelihoods": {"plain": -1.0, "more_noise": -0.9},
        "splits": [
            {
                "log_likelihood": -value,
                "evaluated_step": 100,
                "seconds": 4.0,
            }
            for value in values
        ],
        "protocol": {
            "num_train": 694,
            "num_validation": 123,
            "num_test": 91,
            "targets": ["LC50"],
        },
        "config": {"training": {"num_steps": 6_000}},
        **PROVENANCE,
        **changes,
    }


def test_tables_have_means_over_their_splits_and_what_was_chosen():
    runs = [
        table(model="nsf", values=[0.8] * 10 + [0.9] * 10),
        table(),
        table("energy", "nsf", values=[-1.5] * 20),
    ]
    lines = densities.uci_densities(runs).splitlines()
    assert lines[0] == (
        "| table | targets | rows | Gaussian network | NSF | NF, quoted | DDN, "
        "quoted | CDF-first, quoted |"
    )
    assert lines[2] == (
        "| fish | 1 | 694 / 123 / 91 | 1.100 ± 0.100, 2 splits | 0.850 ± 0.011 "
        "| 1.24 | - | 0.89 |"
    )
    assert lines[3].startswith("| energy | 1 | 694 / 123 / 91 | - | -1.500 ± ")
    assert "| fish | NSF | more noise | 1,234 | 100 | 4.0 |" in lines
    assert "of 2 that every model could have" in lines[-1]
    assert "| more noise | +0.100 | +0.100 |" in lines


def test_ensembles_stand_beside_their_members():
    ensemble = {"num_members": 3, "log_likelihoods": [-0.9, -1.1]}
    runs = [table(ensemble=ensemble), table(model="mdn")]
    lines = densities.uci_densities(runs).splitlines()
    assert "| as an ensemble | Gaussian network | mixture network |" in lines
    assert "| fish | 1.000 ± 0.100 (3) | - |" in lines


def simulated(data="slcp", n=10_000, c2st=(0.6, 0.8)):
    return {
        "experiment": "sbibm",
        "dataset": data,
        "model": "5 spline_autoregressive steps, diagonal base",
        "seed": 0,
        "log_likelihood": -1.5,
        "log_likelihood_standard_error": 0.01,
        "c2st": c2st,
        "mean_c2st": sum(c2st) / len(c2st),
        "mean_mmd2": 0.00123,
        "num_reference_draws": 10_000,
        "evaluated_step": 4_000,
        "seconds": 61.2,
        "config": {"data": {"num_simulations": n}},
        "pictures": {"posteriors": f"results/{data}.png"},
        **PROVENANCE,
    }


def test_simulators_are_sorted_by_task_and_simulations():
    runs = [simulated(), simulated(n=100_000), simulated("two_moons")]
    lines = sbibm.sbibm(runs).splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:5]] == [
        ["| two moons", "10,000"],
        ["| slcp", "10,000"],
        ["| slcp", "100,000"],
    ]
    assert lines[3].endswith(
        "| 0.700 | 0.600 | 0.800 | 0.00123 | -1.500 ± 0.010 | 4,000 | 61 |"
    )
    assert lines[-1].endswith("(results/slcp.png)")


def made(units=(500,), masks=1, nll=90.0, seed=0, **settings):
    return {
        "experiment": "made",
        "seed": seed,
        "log_likelihood": -nll,
        "log_likelihood_standard_error": 0.25,
        "best_validation_log_likelihood": -nll - 0.5,
        "evaluated_step": 10_000,
        "protocol": {"num_train": 50_000, "num_test": 10_000},
        "config": {
            "model": {
                "hidden_units": list(units),
                "num_masks": masks,
                **settings,
            },
            "training": {"batch_size": 100},
        },
        **PROVENANCE,
    }


def test_mades_are_sorted_by_layers_masks_and_width():
    runs = [made((500, 500)), made(masks=32), made((1_000,)), made()]
    lines = densities.made(runs).splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:6]] == [
        ["| 500", "1"],
        ["| 1,000", "1"],
        ["| 500", "32"],
        ["| 500 + 500", "1"],
    ]
    assert lines[2].endswith("| 1,234 | 90.00 ± 0.25 | 90.50 | 20 | 2.0 |")


def test_mades_say_their_order():
    runs = [made(order="random", direct_connections=True), made()]
    lines = densities.made(runs).splitlines()
    assert [line.split(" | ")[2] for line in lines[2:4]] == [
        "random",
        "raster, no direct connections",
    ]


def test_no_runs_are_said():
    for make in (
        densities.densities_2d,
        densities.uci_densities,
        sbibm.sbibm,
        densities.made,
    ):
        assert make([{"experiment": "energy"}]).startswith("Not measured: ")
