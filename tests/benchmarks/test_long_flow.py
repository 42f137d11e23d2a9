"""Smoke tests of the long_flow benchmark; nothing here asserts a time."""

import json

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import _dlgm_step, _long_flow_child, _measure, long_flow
from benchmarks._dlgm_sizes import DEFAULT_SIZES, Sizes, head_width
from benchmarks._dlgm_step import TrainingStep

SIZES = Sizes(pixels=12, hidden=6, latent=3, batch=4)
NUM_FLOW_STEPS = 2
# Float32 sums over a batch, in another order.
LOSS_TOLERANCE = 1e-4


@pytest.fixture
def batch():
    x = tf.random.stateless_uniform([SIZES.batch, SIZES.pixels], [1, 2])
    eps = tf.random.stateless_normal([SIZES.batch, SIZES.latent], [3, 4])
    return tf.cast(x < 0.5, tf.float32), eps


def build(variant, jit_compile=False, **kwargs):
    return TrainingStep(
        variant,
        NUM_FLOW_STEPS,
        jit_compile=jit_compile,
        sizes=SIZES,
        **kwargs,
    )


@pytest.mark.slow
@pytest.mark.parametrize("variant", sorted(_dlgm_step.VARIANTS))
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_three_steps_lower_the_loss(variant, jit_compile, batch):
    step = build(variant, jit_compile, learning_rate=1e-2)

    losses = [step(*batch) for _ in range(3)]

    assert np.all(np.isfinite(losses))
    assert losses[2] < losses[0]


@pytest.mark.slow
def test_variants_with_a_flow_have_the_same_loss(batch):
    steps = {v: build(v) for v in ("scan", "chain", "scan_tf")}
    for _ in range(2):
        losses = {v: step(*batch) for v, step in steps.items()}
        reference = losses.pop("chain")
        for loss in losses.values():
            assert loss == pytest.approx(reference, abs=LOSS_TOLERANCE)


def test_floor_is_the_same_network_without_the_flow(batch):
    floor, scan = build("floor"), build("scan")

    assert [v.shape for v in floor.trainable_variables] == [
        v.shape for v in scan.trainable_variables
    ]
    # Without a flow, and with its parameters near zero in weight, the loss
    # is that of the diagonal Gaussian: a flow of zero parameters.
    kernel, bias = scan._head[0]
    columns = tf.range(kernel.shape[1]) < 2 * SIZES.latent
    kernel.assign(tf.where(columns, kernel, 0.0))
    bias.assign(tf.where(columns, bias, 0.0))
    assert float(floor.loss(*batch)) == pytest.approx(
        float(scan.loss(*batch)), abs=LOSS_TOLERANCE
    )


def test_floor_trains_every_output_of_the_head(batch):
    step = build("floor")

    with tf.GradientTape() as tape:
        loss = step.loss(*batch)
    kernel_gradient, bias_gradient = tape.gradient(loss, step._head[0])

    assert np.all(bias_gradient.numpy() != 0.0)
    assert kernel_gradient.shape[1] == head_width(NUM_FLOW_STEPS, SIZES.latent)


def test_head_width_of_the_benchmark():
    assert head_width(80, DEFAULT_SIZES.latent) == 6560


@pytest.mark.slow
def test_interleaved_steps_are_counted_per_case():
    cases = [("floor", "graph"), ("scan_tf", "graph")]

    values = _long_flow_child.steps(
        cases, NUM_FLOW_STEPS, SIZES, num_steps=3, num_warmup_steps=1
    )

    assert [len(v) for v in values["step_milliseconds"]] == [3, 3]


def fake_child(module, task, *, limit_seconds=None, limit_mib=None):
    """Answers at once, and never finishes a limited task."""
    versions = {"tensorflow": "2"}
    if limit_seconds:
        return _measure.ChildResult("out of time", limit_seconds, {})
    if task["task"] == "steps":
        times = [[2.0] * task["num_steps"] for _ in task["cases"]]
        values = {"step_milliseconds": times, "versions": versions}
    else:
        values = {
            "first_step_seconds": float(task["num_flow_steps"]),
            "first_loss": 1.0,
            "step_milliseconds": [1.0],
            "peak_memory_mib": 10.0,
            "import_memory_mib": 5.0,
            "versions": versions,
        }
    return _measure.ChildResult("finished", 0.1, values)


def test_results_have_every_case_and_ratio(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(_measure, "run_child", fake_child)
    out = tmp_path / "results" / "results.json"

    assert long_flow.main(["--quick", "--out", str(out)]) == 0

    results = json.loads(out.read_text())
    assert set(results) == {
        "benchmark",
        "commit",
        "dirty",
        "date",
        "machine",
        "versions",
        "settings",
        "cases",
        "ratios",
    }
    assert set(results["machine"]) == {"cpu", "cores", "platform"}
    assert results["settings"]["sizes"] == long_flow.QUICK.sizes._asdict()
    assert len(results["cases"]) == 2 * 8
    for case in results["cases"]:
        finished = (case["variant"], case["mode"]) != ("chain", "xla")
        assert case["status"] == ("finished" if finished else "out of time")
        for key in ("first_step_seconds", "peak_memory_mib"):
            assert (case[key] is not None) == finished
        if finished:
            assert case["step_milliseconds"] == {
                "median": 2.0,
                "q1": 2.0,
                "q3": 2.0,
                "num_steps": 5,
            }
    ratios = results["ratios"]
    assert ratios["step, scan XLA / floor XLA"] == {
        "at_most": 1.25,
        "values": {"2": 1.0, "4": 1.0},
    }
    assert ratios["first step, scan XLA, longest / shortest flow"][
        "values"
    ] == {"4/2": 2.0}
    printed = capsys.readouterr()
    assert "| 4 | chain | xla | out of time | - | - |" in printed.out
    assert "[1/18]" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--flow_steps", "8,0"], "`flow_steps` must be positive integers"),
        (["--num_steps", "none"], "`num_steps` must be a positive integer"),
        (["--num_step", "3"], "unrecognized arguments: --num_step"),
        (["--out", "{existing}"], "`out` must not exist"),
        (["--out", "{existing}/results.json"], "`out` must be writable"),
    ],
)
def test_bad_flags_are_refused(arguments, message, tmp_path, capsys):
    existing = tmp_path / "results.json"
    existing.write_text("{}")
    arguments = [a.format(existing=existing) for a in arguments]

    with pytest.raises(SystemExit) as exit_info:
        long_flow.main(arguments)

    assert exit_info.value.code != 0
    assert message in capsys.readouterr().err
    assert existing.read_text() == "{}"


class TestRunChild:
    """Limits on child processes, with modules that cost nothing to import."""

    @pytest.fixture
    def run_code(self, monkeypatch, tmp_path):
        monkeypatch.setattr(_measure, "ROOT", tmp_path)

        def run(code, **limits):
            (tmp_path / "child.py").write_text(code)
            return _measure.run_child("child", {"n": 3}, **limits)

        return run

    def test_returns_what_the_child_writes(self, run_code):
        result = run_code(
            "import json, sys\n"
            "task = json.load(open(sys.argv[1]))\n"
            "json.dump({'n': task['n']}, open(sys.argv[2], 'w'))\n"
        )
        assert result.status == "finished"
        assert result.values == {"n": 3}

    def test_reports_a_failure(self, run_code):
        result = run_code("raise ValueError('so it goes')")
        assert result.status == "failed"
        assert "so it goes" in result.message

    def test_ends_a_child_that_is_out_of_time(self, run_code):
        result = run_code("import time; time.sleep(60)", limit_seconds=0.3)
        assert result.status == "out of time"

    def test_ends_a_child_that_is_out_of_memory(self, run_code, monkeypatch):
        monkeypatch.setattr(_measure, "_status_mib", lambda pid, field: 200.0)
        result = run_code(
            "import time; time.sleep(60)", limit_seconds=30, limit_mib=100
        )
        assert result.status == "out of memory"
