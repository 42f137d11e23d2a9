"""The table of evidences: the best family, by its worst seed."""

from trainers.report import evidences, posteriors
from trainers.report.posteriors import FAMILIES

HARDWARE = {"cpu": "A", "cores": 2, "accelerators": []}


def run(family, seed, kl, **others):
    return {
        "experiment": "posterior",
        "target": "sonar",
        "source": "UCI",
        "event_size": 61,
        "family": family,
        "seed": seed,
        "kl": kl,
        "kl_standard_error": 0.01,
        "k_hat": 0.5,
        "log_normalizer": -108.378,
        "log_evidences": [-108.4] * 10,
        "num_evidences_covered": 9,
        "largest_mean_error": 0.08,
        "smallest_sd_ratio": 0.95,
        "largest_sd_ratio": 1.05,
        "free_energy": 108.378 + kl,
        "free_energy_standard_error": 0.01,
        "num_parameters": 10,
        "num_gradients": 100,
        "seconds": 3.0,
        "resampled": {
            "largest_mean_error": 0.02,
            "smallest_sd_ratio": 0.99,
            "largest_sd_ratio": 1.03,
        },
        "settings": {
            "num_steps": 100,
            "num_samples": 128,
            "num_evaluation_samples": 200_000,
            "num_evidences": 10,
            "num_evidence_samples": 20_000,
        },
        "hardware": HARDWARE,
        "finished": "2026-01-01",
        "commit": "c" * 40,
        "dirty": False,
        **others,
    }


RUNS = [
    run("full_rank", 0, 0.55),
    run(
        "iaf",
        0,
        0.31,
        neutra={
            "largest_r_hat": 1.0012,
            "largest_mean_error": 0.031,
            "settings": {"num_chains": 16, "num_results": 4_000},
        },
    ),
    run("iaf", 1, 0.33, k_hat=0.8),
    # Better in one seed, worse in the other.
    run("spline", 0, 0.2),
    run("spline", 1, 0.5),
]


def cells(table):
    line = next(line for line in table.splitlines() if "sonar, 61" in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_best_family_is_the_one_with_the_best_worst_seed():
    assert cells(evidences.evidences(RUNS)) == [
        "sonar, 61",
        FAMILIES["iaf"],
        "-108.378",
        "-",
        "0.5500 ± 0.0100",
        "0.452",
        "0.3300 ± 0.0100",
        "0.452, met",
        "0.80",
        "9 of 10",  # of the seed whose weights hold
        "0.080, 0.030",
        "1.0012",
        "0.031",
    ]


def test_evidences_are_counted_where_weights_hold():
    table = evidences.evidences(RUNS)
    assert "k-hat is below 0.7; of all families' 36 of 40. " in table


def test_fits_that_weights_do_not_improve_are_counted():
    table = evidences.evidences(RUNS)
    assert "smaller after for 4 of the 4 fits of all families" in table
    worse = run("planar", 0, 0.4, largest_mean_error=0.01)
    worse |= {"smallest_sd_ratio": 0.98, "largest_sd_ratio": 1.0}
    table = evidences.evidences([*RUNS, worse])
    assert "for 4 of the 5 fits" in table
    assert "grew most from 0.020 to 0.030. " in table


def test_exact_draws_stand_beside():
    exact = {
        "experiment": "posterior_exact_draws",
        "target": "sonar",
        "num_draws": 200_000,
        "num_sets": 4,
        "sets": {
            "largest_mean_error": [0.01, 0.11, 0.01, 0.01],
            "smallest_sd_ratio": [0.95, 0.95, 0.87, 0.95],
            "largest_sd_ratio": [1.03, 1.03, 1.03, 1.2],
        },
    }
    table = posteriors.posteriors([*RUNS, exact])
    assert (
        "Of 4 sets of as many exact draws of sonar 1 have what is wanted; "
        "their smallest ratio is 0.876 to 0.950, their largest 1.030 to 1.187"
        in table
    )
    (row,) = [line for line in table.splitlines() if FAMILIES["spline"] in line]
    assert "| 0.020 | 0.990 to 1.030 | 10 |" in row


def test_nothing_left_has_no_sign():
    runs = [run("iaf", 0, -1e-6)]
    assert "| 0.0000 ± 0.0100 |" in evidences.evidences(runs)
    assert "| 0.0000 ± 0.0100 |" in posteriors.posteriors(runs)


def test_a_missed_bar_says_so():
    table = evidences.evidences([run("iaf", 0, 0.46)])
    assert "0.452, missed" in table


def test_without_runs():
    assert evidences.evidences([]).startswith("Not measured")
    before = run("iaf", 0, 0.3)
    del before["num_evidences_covered"]
    assert evidences.evidences([before]).startswith("Not measured")


def test_runs_of_before_give_way_to_those_with_a_kl():
    before = run("iaf", 7, 0.3)
    del before["kl"]
    table = posteriors.posteriors([before, *RUNS])
    assert f"| {FAMILIES['iaf']} | 0, 1 |" in table
    before["family"] = "planar"
    table = posteriors.posteriors([before, *RUNS])
    assert f"| {FAMILIES['planar']} | 7 |" in table


def test_moments_that_were_sampled_twice_are_told_once():
    def reference(ess):
        return {
            "experiment": "posterior_reference",
            "target": "sonar",
            "largest_r_hat": 1.001,
            "smallest_ess_bulk": ess,
            "settings": {"num_chains": 4, "num_results": 10},
        }

    table = posteriors.posteriors([reference(50.0), reference(70.0), *RUNS])
    assert table.count("Moments of sonar") == 1
    assert "effective sample size 70." in table
