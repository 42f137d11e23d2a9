"""Tests of the tables in README and docs."""

import json

import numpy as np
import pytest

from trainers.report import __main__ as report
from trainers.report import benchmarks, front, pages
from trainers.report import energies as report_energies

MARKED = {
    page: "# Title\n\n"
    + "".join(
        f"<!-- report:{name} -->\nold\n<!-- /report:{name} -->\n"
        for name in tables
    )
    for page, tables in pages.PAGES.items()
}
ROOT = report.pathlib.Path(__file__).resolve().parents[3]


def result(target="u1", flow="planar", length=2, seed=0, kl=0.5, **changes):
    return {
        "experiment": "energy",
        "target": target,
        "flow": flow,
        "num_flow_steps": length,
        "seed": seed,
        "kl": kl,
        "standard_error": 0.001,
        "log_normalizer": 1.8775,
        "share_outside": 0.0,
        "num_samples": 200_000,
        "num_steps": 20_000,
        "num_parameters": 14,
        "seconds_per_step": 0.0005,
        "finished": "2030-01-02T03:04:05+00:00",
        "hardware": {"cpu": "Some CPU", "cores": 2, "accelerators": []},
        "commit": "0123456789abcdef",
        "dirty": False,
        **changes,
    }


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A directory with all pages and three results, as the current one."""
    for seed, kl in enumerate((0.3, 0.1, 0.2)):
        path = tmp_path / "results" / "energy_2d" / f"seed{seed}"
        path.mkdir(parents=True)
        text = json.dumps(result(seed=seed, kl=kl))
        (path / "results.json").write_text(text)
    for page, text in MARKED.items():
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_cell_is_median_and_range_over_the_seeds():
    runs = [result(seed=s, kl=kl) for s, kl in enumerate((0.3, 0.1, 0.2))]
    table = report_energies.energies(runs)
    assert "**0.2000** (0.1000 to 0.3000)" in table
    assert "seeds 0, 1, 2" in table
    assert "commit 0123456789." in table
    assert "Some CPU, 2 cores" in table


def test_rows_and_columns_cover_what_was_measured():
    runs = [
        result("u2", "radial", 8, kl=0.25),
        result("u1", "planar", 32, kl=0.5, num_parameters=164),
    ]
    lines = report_energies.energies(runs).splitlines()
    assert "KL, K = 8 | KL, K = 32" in lines[0]
    assert lines[2].startswith("| U1 | 1.8775 | planar | - | 0.5000 | 164 |")
    assert lines[3].startswith("| U2 | 1.8775 | radial | 0.2500 | - |")


def test_every_seed_at_the_shortest_length_is_listed():
    runs = [
        *(result(seed=s, kl=kl) for s, kl in enumerate((0.3, 0.1, 0.2))),
        *(
            result("u1", "nice_perm", seed=s, kl=kl)
            for s, kl in enumerate((0.15, 0.25, 0.12, 0.4, 0.05))
        ),
        result("u1", "planar", 8, kl=0.01),
    ]
    text = report_energies.energies(runs)
    assert "seeds 0, 1, 2, 3, 4 (nice_perm), 0, 1, 2 (planar)" in text
    lines = text.splitlines()
    assert lines[-4] == ("| target | flow | KL of each seed, K = 2 | median |")
    assert lines[-2] == (
        "| U1 | nice_perm | 0.1500, 0.2500, 0.1200, 0.4000, 0.0500 | 0.1500, "
        "the lowest |"
    )
    assert lines[-1] == "| U1 | planar | 0.3000, 0.1000, 0.2000 | 0.2000 |"


def test_nice_without_annealing_has_rows_of_its_own():
    training = {"annealing_steps": 0}
    runs = [
        result(flow="nice_perm", kl=0.2),
        result(flow="nice_perm", kl=0.7, config={"training": training}),
        result(flow="planar", kl=0.3, config={"training": training}),
    ]
    text = report_energies.energies(runs)
    assert "| nice_perm | 0.2000 |" in text
    assert "| nice_perm, not annealed | 0.7000 |" in text
    assert "| planar | 0.3000 |" in text


def test_dirty_checkout_is_not_hidden():
    assert "0123456789 (dirty)" in report_energies.energies(
        [result(dirty=True)]
    )


def test_results_come_with_what_lies_beside_them(project):
    path = project / "results" / "energy_2d" / "seed1"
    (path / "figures").mkdir()
    (path / "figures" / "samples.png").write_bytes(b"")
    np.savez(path / "per_image.npz", elbo=[1.0, 2.0])
    results = report.read_results(report.pathlib.Path("results"))
    plain, rich = results[0], results[1]
    assert "per_image" not in plain
    assert plain["pictures"] == {}
    np.testing.assert_array_equal(rich["per_image"]["elbo"], [1.0, 2.0])
    picture = "results/energy_2d/seed1/figures/samples.png"
    assert rich["pictures"] == {"samples": picture}


def test_other_experiments_are_ignored():
    text = report_energies.energies([{"experiment": "vae"}, {"step_ms": 1.0}])
    assert text.startswith("Not measured")


def test_write_then_check(project, capsys):
    assert report.main(["--check"]) == 1
    assert "are not those of" in capsys.readouterr().err
    assert report.main(["--write"]) == 0
    text = (project / "docs" / "flows.md").read_text()
    assert text.startswith("# Title\n\n<!-- report:catalogue -->\n| flow |")
    text = (project / "docs" / "results.md").read_text()
    assert "<!-- report:energies -->\n| target |" in text
    assert "([config](../configs/energy_2d.py))" in text
    for page in pages.PAGES:
        assert "\nold\n" not in (project / page).read_text()
    assert report.main(["--check", "."]) == 0
    (project / "docs" / "results.md").write_text(MARKED["docs/results.md"])
    assert report.main(["--check"]) == 1


def test_prints_without_touching_any_file(project, capsys):
    assert report.main([]) == 0
    assert "**0.2000**" in capsys.readouterr().out
    for page, text in MARKED.items():
        assert (project / page).read_text() == text


@pytest.mark.parametrize("text", ["no markers", MARKED["README.md"] * 2])
def test_missing_or_repeated_markers_are_refused(project, capsys, text):
    (project / "README.md").write_text(text)
    assert report.main(["--write"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: README.md: The file must have")
    assert (project / "README.md").read_text() == text


def test_missing_readme_is_one_clear_line(project, capsys):
    assert report.main(["--check", "nowhere"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def long_flow_result():
    def case(variant, value, mode="xla"):
        summary = {"q1": value, "median": value, "q3": value}
        finished = value is not None
        return {
            "variant": variant,
            "mode": mode,
            "num_flow_steps": 8,
            "status": "finished" if finished else "more than 300 s",
            "first_step_seconds": summary if finished else None,
            "step_milliseconds": summary if finished else None,
            "peak_memory_mib": summary if finished else None,
        }

    return {
        "benchmark": "long_flow",
        "date": "2030-01-02",
        "commit": "0123456789abcdef",
        "dirty": False,
        "machine": {"cpu": "Some CPU", "cores": 2},
        "versions": {"tensorflow": "2.21.0"},
        "settings": {
            "flow_steps": [8, 80],
            "num_processes": 3,
            "num_steps": 200,
            "limit_seconds": 300.0,
            "limit_mib": 8192.0,
        },
        "cases": [
            case("scan", 2.5),
            case("chain", None),
            case("floor", 2.0),
            case("chain", 4.0, mode="graph"),
        ],
        "ratios": {
            "step": {"at_most": 0.5, "values": {"8": 0.25, "80": None}},
            "growth": {"at_most": 1.3, "values": {"80/8": 1.125}},
        },
    }


def test_benchmark_table_shows_what_did_not_finish():
    lines = benchmarks.long_flow([long_flow_result()])
    assert "| 8 | scan | xla | 2.50 | 2.5 | 2 |" in lines
    assert "more than 300 s" in lines
    assert "| step | 0.25 | - | at most 0.5 |" in lines
    assert "| growth | 1.12 (K = 80/8) |  | at most 1.3 |" in lines
    assert "the least that any flow could reach | 0.50 | - | - |" in lines
    assert "commit 0123456789." in lines


def test_pages_have_the_tables_of_the_committed_results():
    results = report.read_results(ROOT / "results")
    for page in pages.PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert pages.replace_tables(page, text, results) == text


def test_links_hold_from_the_page():
    table = "[a](configs/x.py), ![b](results/y.png), [c](docs/results.md#z)"
    linked = pages._links_from("docs/flows.md", f"{table} [d](https://e.f)")
    assert linked == (
        "[a](../configs/x.py), ![b](../results/y.png), [c](results.md#z) "
        "[d](https://e.f)"
    )
    assert pages._links_from("README.md", table) == table


def test_front_page_without_results_says_so():
    assert front.highlights([]).count("not measured") == 5
    assert front.front([]).splitlines()[2] == ""


def test_front_page_takes_the_best_of_each_experiment():
    runs = [
        result(target=target, length=32, kl=kl)
        for target, kl in (("u1", 0.01), ("u1", 0.03), ("u1", 0.02), ("u2", 1))
    ]
    made = {
        "experiment": "made",
        "model": "MADE",
        "log_likelihood_standard_error": 0.25,
    }
    runs += [{**made, "log_likelihood": nll} for nll in (-90.0, -88.0)]
    lines = front.front(runs).splitlines()
    assert "| KL 0.0200, 1.0000 |" in lines[2]
    assert "| MADE | -ln p 88.00 ± 0.25 |" in lines[3]
