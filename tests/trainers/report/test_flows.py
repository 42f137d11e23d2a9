"""Tests of the catalogue of the flows and of the tables of their costs."""

from configs.flows import FLOWS
from trainers.report import flows as report_flows

OPERATIONS = ("forward", "inverse", "gradient")


def summary(value):
    return {"q1": 0.9 * value, "median": value, "q3": 1.1 * value}


def case(flow="planar", event_size=64, milliseconds=2.5):
    return {
        "flow": flow,
        "event_size": event_size,
        "num_parameters": 1_032,
        "round_trip_error": 2.4e-6,
        "milliseconds": {
            operation: summary(factor * milliseconds)
            for operation, factor in zip(OPERATIONS, (1, 10, 100), strict=True)
        },
        "compile_seconds": {o: 1.25 for o in OPERATIONS},
    }


def convolution(size, milliseconds, dense, extrapolated, log_det=None):
    return {
        "size": size,
        "milliseconds": {
            "convolution": summary(milliseconds),
            "dense": None if extrapolated else summary(dense),
            "dense_log_det": log_det and summary(log_det),
        },
        "largest_differences": {
            "value": None if extrapolated else 3e-6,
            "log_det": None,
        },
        "dense_milliseconds": dense,
        "dense_extrapolated": extrapolated,
        "dense_over_convolution": dense / milliseconds,
    }


def result(cases=None, **changes):
    return {
        "benchmark": "flow_costs",
        "date": "2030-01-02",
        "commit": "0123456789abcdef",
        "dirty": False,
        "machine": {"cpu": "Some CPU", "cores": 2},
        "versions": {"tensorflow": "2.21.0"},
        "settings": {
            "num_flow_steps": 8,
            "batch": 256,
            "num_repeats": 30,
            "num_signals": 8,
            "num_convolution_repeats": 50,
        },
        "cases": [case()] if cases is None else cases,
        "convolution": {
            "cases": [
                convolution(4096, 0.5, 8.0, False, log_det=5000.0),
                convolution(65536, 5.0, 2048.0, True),
            ],
            "faster": {
                "size": 65536,
                "extrapolated_from": 4096,
                "at_least": 100.0,
                "value": 409.6,
            },
            "growth": {"at_most": 2.0, "values": {"65536/4096": 0.469}},
        },
        **changes,
    }


def rows(table):
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]


def test_catalogue_is_written_without_results():
    table = report_flows.catalogue([{"benchmark": "training"}])
    found = rows(table)
    assert [len(row) for row in found] == [12] * (len(FLOWS) + 3)
    assert found[2][:4] == [
        *("`planar`", "`Planar`", "`PlanarFlow`", "Rezende & Mohamed 2015")
    ]
    assert found[2][8:] == ["-"] * 4
    assert found[-1][:2] == ["any K of one kind", "`Scan`"]
    assert "not measured: no results.json" in table


def test_catalogue_has_the_numbers_at_64_of_the_last_run():
    old = result([case(milliseconds=9.0)], date="2029-12-31")
    new = result([case(), case(event_size=2, milliseconds=7.0)])
    table = report_flows.catalogue([new, old])
    planar, radial = rows(table)[2:4]
    assert planar[8:] == ["2.50", "25.0", "250", "1,032"]
    assert radial[8:] == ["-"] * 4
    for words in ("K = 8 steps on 256 points", "Some CPU, 2 cores"):
        assert words in table


def test_costs_are_sorted_by_flow_and_size():
    cases = [case("conf", 2), case("planar", 2), case("conf", 64)]
    found = rows(report_flows.flow_costs([result(cases)]))[2:5]
    assert [row[:2] for row in found] == [
        ["`conf`", "2"],
        ["`conf`", "64"],
        ["`planar`", "2"],
    ]
    assert found[0][2:] == [
        *("2.50", "25.0", "250", "1.2", "1.2", "1.2", "1,032", "2e-06")
    ]


def test_costs_show_what_is_extrapolated_and_wanted():
    text = report_flows.flow_costs([result()])
    assert "| 4,096 | 0.50 | 8.00 | 5,000 | 16 |" in text
    assert "| 65,536 | 5.00 | 2,048 (extrapolated) | - | 410 |" in text
    assert (
        "| dense product / convolution, N = 65,536 | 410 | at least 100 |"
        in text
    )
    assert (
        "| growth of the convolution from N = 4,096 to 65,536 / that of N log "
        "N | 0.47 | at most 2 |" in text
    )
    assert "typically 20 % apart" in text
    assert "the same values within 3e-06" in text
    assert "commit 0123456789." in text


def test_costs_are_not_measured_without_results():
    assert report_flows.flow_costs([]).startswith("Not measured")


def test_sequential_directions_are_beside_their_networks():
    ways = {
        "sequential": 30.0,
        "all_rounds": 40.0,
        "parallel": 1.0,
        "one_pass": 0.5,
        "passes": 15,
    }
    sequential = {
        "judged_event_size": 64,
        "compiled_event_sizes": [16, 256],
        "passes_at_most": 3.0,
        "compile_growth_at_most": 2.0,
        "ratios": {
            "iaf": {
                "sequential_over_passes": 2.0,
                "all_rounds_over_passes": 2.67,
                "parallel_over_pass": 2.0,
                "compile_growth": 1.25,
            }
        },
        "cases": [
            {
                "flow": "iaf",
                "event_size": d,
                "milliseconds": {way: summary(v) for way, v in ways.items()},
                "compile_seconds": {"sequential": seconds},
            }
            for d, seconds in ((16, 1.2), (64, 1.3), (256, 1.5))
        ],
    }
    run = result(sequential=sequential)
    run["settings"]["num_sequential_repeats"] = 15
    text = report_flows.flow_costs([run])
    row = (
        "| `iaf` | 30.0 | 40.0 | 15.0 | 2.00 | 2.67 | 2.00 | 1.2 | 1.5 | 1.25 |"
    )
    assert row in text
    assert "64 separate calls of the same network (wanted: at most 3 " in text
