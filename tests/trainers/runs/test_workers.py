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
        ({"cluster": {"worker": ["[::1]:1"]}, "task": TASK}, "list addresses"),
        (
            {"cluster": {"chief": ["a:1", "b:1"], **CLUSTER}, "task": TASK},
            "name one chief; got .*a:1",
        ),
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
        errors.WorkerLostError, match=f"name workers .* no answer of {other}"
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
        command = ["trainers.launch_local", f"--workers={num_workers}", "--"]
        if not num_workers:
            command = ["trainers.main"]
        command += image_runs.flags(
            workdir,
            num_steps=NUM_STEPS,
            batch_size=24,
            checkpoint_steps=70,
            jit_compile=False,
        )
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self):
        return self.process.wait(timeout=TIMEOUT)

    def wait_until(self, happens):
        deadline = time.monotonic() + TIMEOUT
        while not happens():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def kill(self, index, log, step):
        """A worker once the log says that this step is over."""
        self.wait_until(
            lambda: log.exists() and f'"step": {step},' in log.read_text()
        )
        workers = psutil.Process(self.process.pid).children()
        workers.sort(key=lambda process: process.pid)
        workers[index].kill()
        killed = time.monotonic()
        # That of the first that ended, not of one that was killed later on.
        assert self.wait() == 128 + signal.SIGKILL
        assert time.monotonic() - killed < 25
        assert not any(worker.is_running() for worker in workers)
        text = self.log.read_text()
        survivor = f"[worker {1 - index}] error: another worker stopped"
        assert survivor in text, text
        assert "Traceback" not in text, text

    def stop(self):
        """Whatever still runs."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            for process in psutil.Process(self.process.pid).children():
                process.kill()


@pytest.fixture
def launch():
    """Starts launchers, and stops those that a failed test left behind."""
    started = []

    def start_one(*arguments, **options):
        started.append(Launch(*arguments, **options))
        return started[-1]

    yield start_one
    for one in started:
        if one.process.poll() is None:
            one.stop()


@pytest.mark.slow
@pytest.mark.integration
def test_workers_end_as_one_process_whatever_kills_them(tmp_path, launch):
    one, two, killed = (tmp_path / name for name in ("one", "two", "killed"))
    for path, num_workers in ((one, 0), (two, 2)):
        started = launch(path, num_workers)
        assert started.wait() == 0, started.log.read_text()
    text = started.log.read_text()
    assert "[worker 0] digits, test, nats per image: elbo" in text
    assert "[worker 1] digits" not in text

    # A worker, then the chief.
    launch(killed).kill(1, killed / "metrics.jsonl", 150)
    launch(killed).kill(0, killed / "metrics.jsonl", 350)
    started = launch(killed)
    assert started.wait() == 0, started.log.read_text()
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
def test_a_run_goes_on_with_another_number_of_workers(tmp_path, launch):
    path = tmp_path / "run"
    started = launch(path)
    started.wait_until((path / "checkpoints" / "checkpoint").exists)
    started.process.send_signal(signal.SIGTERM)
    assert started.wait() == start.EXIT_TERMINATED, started.log.read_text()
    assert "is saved in" in started.log.read_text()
    stopped = max(image_runs.checkpoint_steps(path))
    started = launch(path, num_workers=1)
    assert started.wait() == 0, started.log.read_text()
    text = started.log.read_text()
    assert f"from step {stopped} to step {NUM_STEPS} of" in text
    assert image_runs.results(path)["num_replicas"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=0"], "`--workers` must be positive; got 0"),
        (
            ["--workers=2", "--", "--strategy=default"],
            "`--strategy` must be left to this; got '--strategy=default'",
        ),
    ],
)
def test_launcher_refuses(capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        launch_local.main(arguments)
    assert message in capsys.readouterr().err
