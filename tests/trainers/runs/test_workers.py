"""Several processes as workers of one run, and what kills them."""

import concurrent.futures
import json
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from tests.trainers import image_runs
from trainers import launch_local
from trainers.runs import errors, start, workers

ROOT = pathlib.Path(__file__).parents[3]
NUM_STEPS = 600
TIMEOUT = 240

TASK = {"type": "worker", "index": 0}
CLUSTER = {"worker": ["localhost:1", "localhost:2"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "be JSON; got '{'"),
        ("[]", "have a `cluster` of chief and worker; got None"),
        ({"cluster": {"ps": []}, "task": TASK}, "have a `cluster` of .*'ps'"),
        ({"cluster": {"worker": "a:1"}, "task": TASK}, "list addresses.*a:1"),
        ({"cluster": {"worker": ["a"]}, "task": TASK}, "list addresses.*'a'"),
        ({"cluster": CLUSTER}, "have a `task` whose `type` .*got None"),
        (
            {"cluster": CLUSTER, "task": {"type": "chief", "index": 0}},
            "have a `task` whose `type` is in the cluster; got .*chief",
        ),
        (
            {"cluster": CLUSTER, "task": {"type": "worker", "index": 2}},
            "have .* `index` is below 2; got 2",
        ),
        (
            {"cluster": CLUSTER, "task": {"type": "worker", "index": "0"}},
            "have .* `index` is below 2; got '0'",
        ),
    ],
)
def test_bad_configuration_is_refused(monkeypatch, text, message):
    text = text if isinstance(text, str) else json.dumps(text)
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(errors.InputError, match=f"TF_CONFIG must {message}"):
        workers.count_configured()


def test_workers_without_a_configuration_are_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert workers.count_configured() == 0
    with pytest.raises(errors.InputError, match="TF_CONFIG must be set .*noth"):
        workers.strategy()


def test_configured_workers_are_counted(monkeypatch):
    text = json.dumps({"cluster": CLUSTER, "task": TASK})
    monkeypatch.setenv("TF_CONFIG", text)
    assert workers.count_configured() == 2


def test_a_worker_that_does_not_come_is_named(monkeypatch):
    own, other = (f"localhost:{port}" for port in launch_local.free_ports(2))
    monkeypatch.setattr(workers, "_SECONDS_TO_START", 0.5)
    with pytest.raises(
        errors.InputError, match=f"must name workers .* no answer of {other}"
    ):
        workers._meet(own, [other])


def test_workers_meet():
    first, second = (f"localhost:{p}" for p in launch_local.free_ports(2))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        early = pool.submit(workers._meet, first, [second])
        time.sleep(0.5)
        assert not early.done()
        # TensorFlow listens in the end, as the second goes on doing here.
        with socket.create_server(("", int(second.rpartition(":")[2]))):
            early.result(timeout=10)


def test_a_port_that_is_taken_is_refused():
    with socket.create_server(("", 0)) as taken:
        own = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(errors.InputError, match=f"free; got '{own}'"):
            workers._meet(own, [])


class Launch:
    """`trainers.launch_local`, as a user starts it."""

    def __init__(self, workdir, num_workers=2):
        self.log = workdir.with_name(f"log_{time.time_ns()}")
        arguments = {
            "config": "configs/digits.py:flow=planar,K=2",
            "workdir": workdir,
            "config.data.num_validation": 100,
            "config.model.latent_size": 4,
            "config.model.hidden_units": "(32,)",
            "config.training.num_steps": NUM_STEPS,
            "config.training.batch_size": 24,
            "config.training.steps_per_execution": 10,
            "config.training.log_steps": 50,
            "config.training.validation_steps": 100,
            "config.training.checkpoint_steps": 70,
            "config.training.jit_compile": False,
            "config.evaluation.num_importance_samples": 200,
        }
        command = ["trainers.launch_local", f"--workers={num_workers}", "--"]
        if not num_workers:
            command = ["trainers.main"]
        command += [f"--{name}={value}" for name, value in arguments.items()]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self):
        code = self.process.wait(timeout=TIMEOUT)
        assert not psutil.Process().children()
        return code

    def kill(self, index, log, step):
        """A worker once the log says that this step is over; the exit code."""
        deadline = time.monotonic() + TIMEOUT
        while not log.exists() or f'"step": {step},' not in log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)
        launcher = psutil.Process(self.process.pid)
        first = sorted(launcher.children(), key=lambda p: p.create_time())
        first[index].kill()
        killed = time.monotonic()
        code = self.wait()
        assert time.monotonic() - killed < 60
        return code


@pytest.mark.slow
@pytest.mark.integration
def test_workers_end_as_one_process_whatever_kills_them(tmp_path):
    one, two, killed = (tmp_path / name for name in ("one", "two", "killed"))
    for path, num_workers in ((one, 0), (two, 2)):
        launch = Launch(path, num_workers)
        assert launch.wait() == 0, launch.log.read_text()
    log = two.parent.glob("log_*")
    assert "[worker 1] " in max(log).read_text()

    # A worker, then the chief; then the machine has one worker alone.
    launch = Launch(killed)
    assert launch.kill(1, killed / "metrics.jsonl", 150) in (
        128 + signal.SIGKILL,
        start.EXIT_WORKER_LOST,
    )
    assert "same command" in launch.log.read_text()
    launch = Launch(killed)
    assert launch.kill(0, killed / "metrics.jsonl", 350) in (
        128 + signal.SIGKILL,
        start.EXIT_WORKER_LOST,
    )
    launch = Launch(killed)
    assert launch.wait() == 0, launch.log.read_text()
    assert len(image_runs.read(killed / "run.json")) == 3
    assert image_runs.metrics(killed) == image_runs.metrics(two)
    assert image_runs.results(killed) == image_runs.results(two)

    expected, got = (image_runs.metrics(path) for path in (one, two))
    for line, wanted in zip(got, expected, strict=True):
        assert line == pytest.approx(wanted, rel=1e-3)
    expected, got = (image_runs.results(path) for path in (one, two))
    assert got.pop("num_replicas") == 2
    for name, value in got.items():
        if isinstance(value, float):
            assert value == pytest.approx(expected[name], rel=1e-3), name
    images = np.load(two / "per_image.npz")
    for name, values in np.load(one / "per_image.npz").items():
        np.testing.assert_allclose(images[name], values, rtol=1e-2, atol=1e-2)


@pytest.mark.slow
@pytest.mark.integration
def test_a_run_goes_on_with_another_number_of_workers(tmp_path):
    path = tmp_path / "run"
    launch = Launch(path)
    deadline = time.monotonic() + TIMEOUT
    while not (path / "checkpoints").exists():
        assert time.monotonic() < deadline, launch.log.read_text()
        time.sleep(0.05)
    launch.process.send_signal(signal.SIGTERM)
    assert launch.wait() == start.EXIT_TERMINATED, launch.log.read_text()
    assert "is saved in" in launch.log.read_text()
    stopped = max(image_runs.checkpoint_steps(path))
    launch = Launch(path, num_workers=1)
    assert launch.wait() == 0, launch.log.read_text()
    text = launch.log.read_text()
    assert f"from step {stopped} to step {NUM_STEPS} of" in text
    assert image_runs.results(path)["num_replicas"] == 1
