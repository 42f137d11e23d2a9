"""The benchmark of the flows: what it times, writes, wants and refuses."""

import json
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import _flow_costs_child as child
from benchmarks import _measure, flow_costs
from configs.flows import FLOWS
from tfp_flows.math import autoregressive
from trainers.report import flows as report_flows

SIZES = {"event_size": 3, "num_flow_steps": 2, "batch": 4, "weight_noise": 0.3}
# Float32, two steps.
ROUND_TRIP_TOLERANCE = 1e-5


def run_in_this_process(module, task, **kwargs):
    """What a child would answer, without starting one."""
    assert module == "benchmarks._flow_costs_child"
    task = json.loads(json.dumps(task))
    function = getattr(child, task.pop("task"))
    values = json.loads(json.dumps(function(**task)))
    return _measure.ChildResult("finished", 1.0, values)


def fake_child(module, task, **kwargs):
    """Times by rule: convolutions as N log N, the product as N**2."""
    if task["task"] == "flows":
        times = {o: [1.0, 2.0, 4.0] for o in child.OPERATIONS}
        cases = [
            {
                "flow": flow,
                "num_parameters": 10 * task["event_size"],
                "round_trip_error": 2e-7,
                "milliseconds": times,
                "compile_seconds": {o: 0.5 for o in child.OPERATIONS},
            }
            for flow in ("planar", "conf")
        ]
    elif task["task"] == "sequential":
        cases = [
            {
                "flow": flow,
                "event_size": d,
                "milliseconds": {
                    "sequential": [1.5 * d],
                    "all_rounds": [2.5 * d],
                    "passes": [1.0 * d],
                    "parallel": [2.0],
                    "one_pass": [1.0],
                },
                "compile_seconds": {"sequential": 1.0 + d / 256},
            }
            for d in task["event_sizes"]
            for flow in task["names"]
        ]
    else:
        cases = [
            {
                "size": n,
                "largest_differences": {"value": 1e-6, "log_det": None},
                "milliseconds": {
                    "convolution": [1e-5 * n * np.log2(n)],
                    "dense": [1e-6 * n**2] if n in task["dense_sizes"] else [],
                    "dense_log_det": [],
                },
            }
            for n in task["sizes"]
        ]
    values = {"cases": cases, "versions": {"tensorflow": "2.0"}}
    return _measure.ChildResult("finished", 1.0, values)


@pytest.mark.slow
def test_every_operation_is_measured_and_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(_measure, "run_child", run_in_this_process)
    out = tmp_path / "results.json"
    arguments = ["--quick", "--flows", "radial", "--event_sizes", "3"]

    assert flow_costs.main([*arguments, "--out", str(out)]) == 0

    results = json.loads(out.read_text())
    assert {"benchmark", "commit", "dirty", "date", "machine"} < set(results)
    (case,) = results["cases"]
    assert (case["flow"], case["event_size"]) == ("radial", 3)
    assert case["num_parameters"] == 2 * (3 + 1 + 1)
    assert case["round_trip_error"] < ROUND_TRIP_TOLERANCE
    for operation in child.OPERATIONS:
        assert case["milliseconds"][operation]["median"] > 0.0
        assert case["compile_seconds"][operation] > 0.0
    sizes = [c["size"] for c in results["convolution"]["cases"]]
    assert sizes == [16, 32, 64]
    for convolution in results["convolution"]["cases"]:
        differences = convolution["largest_differences"]
        assert (differences["value"] is None) == (convolution["size"] == 64)
        assert all(d is None or d < 1e-4 for d in differences.values())
    printed = capsys.readouterr()
    assert report_flows.flow_costs([results]) in printed.out
    assert "[1/2] D=3" in printed.err


@pytest.mark.slow
def test_sequential_directions_are_measured_beside_their_networks(monkeypatch):
    monkeypatch.setattr(_measure, "run_child", run_in_this_process)
    settings = flow_costs.QUICK._replace(
        flows=("maf", "spline_autoregressive"), event_sizes=(2,)
    )

    results = flow_costs.run(settings)

    sequential = results["sequential"]
    assert [(c["flow"], c["event_size"]) for c in sequential["cases"]] == [
        ("maf", 2),
        ("spline_autoregressive", 2),
        ("maf", 5),
        ("spline_autoregressive", 5),
    ]
    for case in sequential["cases"]:
        assert list(case["milliseconds"]) == [
            *("sequential", "all_rounds", "parallel", "one_pass", "passes")
        ]
        for summary in case["milliseconds"].values():
            assert summary["median"] > 0.0
    assert "| `spline_autoregressive` |" in report_flows.flow_costs([results])


def test_the_network_of_a_step_is_the_one_that_the_flow_uses():
    flow = child.FlowAtSize("iaf", 3, 1, 4, 0.3)
    x = flow._x
    assert flow.network()()[0].shape == (4, 6)
    # The layer reverses the coordinates before the step.
    flipped = flow._layer.conditioner(
        x[:, ::-1],
        {n: v[0] for n, v in flow._layer.parameters().items()},
        None,
    )
    shift, a = tf.split(flipped, 2, axis=-1)
    s = 16.0 * tf.tanh(a / 16.0)
    np.testing.assert_allclose(
        flow.calls["forward"]()[1],
        x[:, ::-1] * tf.exp(s) + shift,
        rtol=1e-5,
        atol=1e-6,
    )


def test_all_rounds_take_all_rounds(monkeypatch):
    """At the images of points, whatever has settled."""
    rounds = []
    original = autoregressive._loop

    def counted(num_steps, step, *args, **kwargs):
        def counting(k, x):
            rounds.append(k)
            return step(k, x)

        return original(num_steps, counting, *args, **kwargs)

    monkeypatch.setattr(autoregressive, "_loop", counted)
    flow = child.FlowAtSize("iaf", 20, 1, 4, 0.3)
    y = flow._layer.bijector().forward(flow._x)
    with mock.patch.object(autoregressive, "_is_moved", child._always):
        flow._layer.bijector().inverse(y)
    assert len(rounds) == 20
    rounds.clear()
    flow._layer.bijector().inverse(y)
    assert 1 < len(rounds) < 20


def test_extrapolation_ratio_and_growth(monkeypatch):
    monkeypatch.setattr(_measure, "run_child", fake_child)

    results = flow_costs.run(flow_costs.Settings(event_sizes=(2, 64)))

    sequential = results["sequential"]
    assert sequential["judged_event_size"] == 64
    assert sequential["ratios"]["iaf"] == {
        "sequential_over_passes": pytest.approx(1.5),
        "all_rounds_over_passes": pytest.approx(2.5),
        "parallel_over_pass": pytest.approx(2.0),
        "compile_growth": pytest.approx(2.0 / (1.0 + 1 / 16)),
    }

    assert [c["event_size"] for c in results["cases"]] == [2, 2, 64, 64]
    assert results["cases"][0]["milliseconds"]["forward"]["median"] == 2.0
    convolution = results["convolution"]
    assert convolution["faster"] == {
        "size": 65536,
        "extrapolated_from": 4096,
        "at_least": 100.0,
        "value": pytest.approx(1e-6 * 65536 / (1e-5 * 16)),
    }
    assert convolution["growth"] == {
        "at_most": 2.0,
        "values": {
            "65536/4096": pytest.approx(1.0),
            "65536/16384": pytest.approx(1.0),
        },
    }
    extrapolated = [
        c["size"] for c in convolution["cases"] if c["dense_extrapolated"]
    ]
    assert extrapolated == [16384, 65536]
    assert json.loads(json.dumps(results))


@pytest.mark.parametrize("flow", ["nice_ortho", "real_nvp"])
def test_only_weights_that_are_trained_move_and_count(flow):
    at_start = child.FlowAtSize(flow, **{**SIZES, "weight_noise": 0.0})
    moved = child.FlowAtSize(flow, **SIZES)

    pairs = zip(at_start._layer.weights, moved._layer.weights, strict=True)
    for old, new in pairs:
        assert np.any(old.numpy() != new.numpy()) == new.trainable
    count = sum(w.numpy().size for w in moved._layer.weights if w.trainable)
    assert moved.num_parameters == count


def test_gradient_is_that_of_the_free_energy():
    flow = child.FlowAtSize("radial", **SIZES)

    free_energy, *gradients = flow.calls["gradient"]()

    log_det, y = flow.calls["forward"]()
    expected = np.mean(0.5 * np.sum(np.square(y), axis=-1) - log_det)
    np.testing.assert_allclose(free_energy, expected, rtol=1e-5)
    weight, step = flow._layer.trainable_weights[0], 1e-2
    direction = tf.ones_like(weight.value)
    ends = []
    for sign in (1.0, -1.0):
        weight.assign_add(sign * step * direction)
        ends.append(float(flow.calls["gradient"]()[0]))
        weight.assign_add(-sign * step * direction)
    slope = (ends[0] - ends[1]) / (2 * step)
    assert float(tf.reduce_sum(gradients[0])) == pytest.approx(
        slope, rel=1e-2, abs=1e-3
    )


@pytest.mark.parametrize("operation", child.OPERATIONS)
def test_values_that_are_not_finite_are_refused(operation, monkeypatch):
    calls = {
        o: lambda: (tf.zeros([4]), tf.zeros([4, 3])) for o in child.OPERATIONS
    }
    calls[operation] = lambda: (tf.zeros([4]), tf.fill([4, 3], np.nan))
    monkeypatch.setattr(child.FlowAtSize, "calls", calls)
    with pytest.raises(
        FloatingPointError, match=f"`planar {operation}` must be finite; got"
    ):
        child.flows(["planar"], **SIZES, num_repeats=1)


def test_a_failed_child_is_an_error(monkeypatch):
    failed = _measure.ChildResult("failed", 1.0, {}, "why")
    monkeypatch.setattr(_measure, "run_child", lambda *a, **k: failed)
    with pytest.raises(RuntimeError, match="process of D=2 failed: why"):
        flow_costs.run(flow_costs.QUICK)


@pytest.mark.slow
def test_a_quick_run_measures_every_flow(tmp_path):
    out = tmp_path / "results.json"
    arguments = ["--quick", "--event_sizes", "5", "--out", str(out)]

    assert flow_costs.main(arguments) == 0

    results = json.loads(out.read_text())
    assert [case["flow"] for case in results["cases"]] == list(FLOWS)
    for case in results["cases"]:
        assert case["round_trip_error"] < 10 * ROUND_TRIP_TOLERANCE, case


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--flows", "planar,plane"], "`flows` must be among planar, radial, "),
        (["--flows", "none"], "got 'none'."),
        (["--event_sizes", "1"], "`event_sizes` must be integers >= 2"),
        (["--event_sizes", "x"], "`event_sizes` must be positive integers"),
        (["--num_repeats", "0"], "`num_repeats` must be a positive integer"),
        (["--num_repeat", "3"], "unrecognized arguments: --num_repeat"),
        (["--out", "{existing}"], "`out` must not exist"),
    ],
)
def test_bad_flags_are_refused(arguments, message, tmp_path, capsys):
    existing = tmp_path / "existing.json"
    existing.write_text("{}")
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "new.json")]
    arguments = [a.format(existing=existing) for a in arguments + out]

    with pytest.raises(SystemExit) as exit_info:
        flow_costs.main(arguments)

    assert exit_info.value.code != 0
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert existing.read_text() == "{}"
