"""Runs from the command line that are killed, stopped or run out of disk."""

import json
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.trainers import image_runs

ROOT = pathlib.Path(__file__).parents[3]
NUM_STEPS = 2_000
TIMEOUT = 240

pytestmark = [pytest.mark.slow, pytest.mark.integration]


def heed_ctrl_c():
    # It is ignored where the tests run in the background of a script.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Start:
    """One process of the trainer, with XLA, as a user starts it."""

    def __init__(self, workdir, **options):
        self.stderr = workdir.with_name(f"stderr_{time.time_ns()}")
        arguments = image_runs.flags(
            workdir, num_steps=NUM_STEPS, batch_size=25, checkpoint_steps=170
        )
        with self.stderr.open("w") as stderr:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "trainers.main"),
                    *arguments,
                ],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                **{"preexec_fn": heed_ctrl_c, **options},
            )

    def log(self):
        return self.stderr.read_text()

    def wait(self):
        out, _ = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, out

    def kill_when(self, happens, number=signal.SIGKILL):
        deadline = time.monotonic() + TIMEOUT
        while not happens():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.0005)
        self.process.send_signal(number)
        return self.wait()[0]

    def executed(self):
        return int(re.search(r"executed (\d+) steps", self.log())[1])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("uninterrupted") / "run"
    start = Start(path)
    code, out = start.wait()
    assert code == 0, start.log()
    assert start.executed() == NUM_STEPS
    assert start.log().count("Traceback") == 0
    assert "it/s" not in start.log()  # no progress bar into a file
    assert "step/s" not in start.log()
    (line,) = out.splitlines()
    for word in ("elbo -", "iwae_200 -", "+-", str(path / "figures")):
        assert word in line
    return path


def newest(path):
    return max(image_runs.checkpoint_steps(path))


def assert_same_end(path, expected):
    assert image_runs.metrics(path) == image_runs.metrics(expected)
    actual, wanted = image_runs.results(path), image_runs.results(expected)
    assert actual == wanted
    images = np.load(path / "per_image.npz")
    for name, values in np.load(expected / "per_image.npz").items():
        np.testing.assert_array_equal(images[name], values)


def test_killed_again_and_again_it_ends_the_same(uninterrupted, tmp_path):
    path = tmp_path / "run"
    log = path / "metrics.jsonl"
    checkpoints = path / "checkpoints"

    # In an epoch: at some moment behind the line of step 600.
    def is_behind_600():
        return log.exists() and '"step": 600,' in log.read_text()

    assert Start(path).kill_when(is_behind_600) == -signal.SIGKILL
    assert len(image_runs.checkpoint_steps(path)) >= 2
    saved = newest(path)

    # While the checkpoint of step 1190 is being written.
    def is_writing():
        return any(checkpoints.glob("ckpt-1190*"))

    assert Start(path).kill_when(is_writing) == -signal.SIGKILL
    assert saved < newest(path) <= 1190
    saved = newest(path)

    # In the evaluation.
    start = Start(path)
    code = start.kill_when(lambda: "This process executed" in start.log())
    assert code == -signal.SIGKILL
    assert not (path / "results.json").exists()
    assert start.executed() <= NUM_STEPS - saved
    assert newest(path) == NUM_STEPS

    start = Start(path)
    assert start.wait()[0] == 0, start.log()
    assert start.executed() == 0
    assert len(json.loads((path / "run.json").read_text())) == 4
    assert_same_end(path, uninterrupted)


def test_signals_then_a_full_disk_then_enough_room(uninterrupted, tmp_path):
    path = tmp_path / "run"
    log = path / "metrics.jsonl"
    start = Start(path)
    code = start.kill_when(
        lambda: log.exists() and '"step": 300,' in log.read_text(),
        signal.SIGTERM,
    )
    assert code == 143
    assert "Traceback" not in start.log()
    last = start.log().splitlines()[-1]
    step = int(re.search(r"stopped by SIGTERM; step (\d+) is saved", last)[1])
    assert newest(path) == step == start.executed()

    start = Start(path)
    code = start.kill_when(
        lambda: '"step": 700,' in log.read_text(), signal.SIGINT
    )
    assert code == 130
    assert "Traceback" not in start.log()
    last = start.log().splitlines()[-1]
    before = step
    step = int(re.search(r"stopped by Ctrl-C; step (\d+) is saved", last)[1])
    assert f"saved in {path / 'checkpoints'}, and the same command" in last
    assert newest(path) == step == before + start.executed()
    saved = image_runs.checkpointed(path)

    def limit():
        # More than the best weights take, less than a checkpoint.
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    start = Start(path, preexec_fn=limit)
    code, out = start.wait()
    assert code == 2, start.log()
    assert out == ""
    assert "Traceback" not in start.log()
    last = start.log().splitlines()[-1]
    assert last.startswith("error: `workdir` must have room")
    assert f"Last complete checkpoint: step {step}." in last
    for key, value in image_runs.checkpointed(path).items():
        np.testing.assert_array_equal(value, saved[key])

    start = Start(path)
    assert start.wait()[0] == 0, start.log()
    assert start.executed() == NUM_STEPS - step
    assert_same_end(path, uninterrupted)


def test_second_ctrl_c_aborts_while_it_compiles(tmp_path):
    start = Start(tmp_path / "run")
    deadline = time.monotonic() + TIMEOUT
    while "compiling with XLA" not in start.log():
        assert time.monotonic() < deadline, start.log()
        time.sleep(0.01)
    for _ in range(2):
        time.sleep(0.5)
        start.process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    assert start.wait()[0] == 130
    assert time.monotonic() - sent < 5
    assert "Traceback" not in start.log()
    assert not list((tmp_path / "run").glob("checkpoints/*"))
