"""A run that was interrupted ends with the numbers of one that was not."""

import os
import re
import shutil
import signal

import numpy as np
import pytest
from absl import logging as absl_logging

from tests.trainers import image_runs
from trainers import run
from trainers.runs import errors, signals


def train(path, **training):
    config = image_runs.make_config(**training)
    run.train_and_evaluate(config, str(path), mode="train")


@pytest.fixture
def executed(caplog):
    """How many steps each start executed, by its own log."""
    absl_logging.set_verbosity(absl_logging.INFO)
    yield lambda: [
        int(match[1])
        for match in re.finditer(r"executed (\d+) steps", caplog.text)
    ]
    absl_logging.set_verbosity(absl_logging.WARNING)


def assert_same_end(path, expected):
    assert image_runs.metrics(path) == image_runs.metrics(expected)
    for name in ("checkpoints", "best"):
        actual = image_runs.checkpointed(path, name)
        wanted = image_runs.checkpointed(expected, name)
        assert actual.keys() == wanted.keys()
        for key, value in wanted.items():
            np.testing.assert_array_equal(actual[key], value, err_msg=key)
        assert image_runs.checkpoint_steps(
            path, name
        ) == image_runs.checkpoint_steps(expected, name)


@pytest.mark.slow
def test_stopped_in_mid_interval_ends_bitwise_the_same(
    trained_images, tmp_path, monkeypatch, executed
):
    with monkeypatch.context() as patch:
        image_runs.on_call(
            patch, 52, image_runs.stop
        )  # newest checkpoint: 45; newest line: 50
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    lines = image_runs.metrics(tmp_path)
    assert [line["step"] for line in lines] == [10, 20, 30, 40, 50]
    train(tmp_path)
    assert_same_end(tmp_path, trained_images)
    assert executed()[-1] == 60 - 45
    assert len(image_runs.read(tmp_path / "run.json")) == 2
    for name in ("train", "validation"):
        folder = tmp_path / "tensorboard" / name
        assert len(list(folder.iterdir())) == 2
        found = [e[:2] for e in image_runs.events(folder)]
        assert len(set(found)) == len(found)
        assert {step for step, _ in found} >= {20, 40, 60}


def sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def ctrl_c():
    """Sends SIGINT, which is ignored where tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_sigterm_saves_the_step_that_is_done(tmp_path, monkeypatch, executed):
    before = signal.getsignal(signal.SIGTERM)
    image_runs.on_call(monkeypatch, 33, sigterm)
    with pytest.raises(errors.Terminated, match="step 37 is saved"):
        train(tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before
    assert image_runs.checkpoint_steps(tmp_path) == [30, 37]
    assert executed() == [37]


def test_run_goes_on_from_the_step_of_a_ctrl_c(
    trained_images, tmp_path, monkeypatch, executed, ctrl_c
):
    with monkeypatch.context() as patch:
        image_runs.on_call(patch, 33, ctrl_c)
        where = re.escape(str(tmp_path / "checkpoints"))
        with pytest.raises(
            errors.Interrupted, match=f"by Ctrl-C; step 37 is saved in {where}"
        ):
            train(tmp_path)
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    assert image_runs.checkpoint_steps(tmp_path) == [30, 37]
    train(tmp_path)
    assert_same_end(tmp_path, trained_images)
    assert executed() == [37, 60 - 37]


def test_second_ctrl_c_does_not_wait_for_a_checkpoint(
    tmp_path, monkeypatch, ctrl_c
):
    def twice():
        ctrl_c()
        ctrl_c()
        pytest.fail("the step goes on")

    image_runs.on_call(monkeypatch, 33, twice)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(tmp_path)
    assert not isinstance(caught.value, errors.Interrupted)
    assert image_runs.checkpoint_steps(tmp_path) == [15, 30]


def test_ctrl_c_that_is_ignored_stays_so(ctrl_c):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with signals.Termination() as termination:
        ctrl_c()
        assert termination.requested is None


def test_finished_run_executes_nothing_again(
    trained_images, tmp_path, executed
):
    shutil.copytree(trained_images, tmp_path / "copy")
    train(tmp_path / "copy")
    assert_same_end(tmp_path / "copy", trained_images)
    assert executed() == [0]


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "suffix",
    ["index", pytest.param("data-00000-of-00001", marks=pytest.mark.slow)],
)
def test_truncated_newest_checkpoint_falls_back(
    trained_images, tmp_path, executed, caplog, suffix
):
    path = tmp_path / "copy"
    shutil.copytree(trained_images, path)
    truncate(path / "checkpoints" / f"ckpt-60.{suffix}")
    train(path)
    assert "ckpt-60 cannot be read" in caplog.text
    assert executed() == [15]
    assert_same_end(path, trained_images)


@pytest.mark.slow
def test_broken_checkpoint_does_not_push_out_a_good_one(
    trained_images, tmp_path, monkeypatch
):
    path = tmp_path / "copy"
    shutil.copytree(trained_images, path)
    truncate(path / "checkpoints" / "ckpt-60.index")
    with monkeypatch.context() as patch:
        image_runs.on_call(patch, 47, sigterm)
        with pytest.raises(errors.Terminated):
            train(path)
    assert image_runs.checkpoint_steps(path) == [45, 50]


def test_no_readable_checkpoint_is_an_error(trained_images, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(trained_images, path)
    for file in (path / "checkpoints").glob("*.index"):
        truncate(file)
    with pytest.raises(errors.InputError, match="a checkpoint that can be"):
        train(path)


def test_other_config_is_refused_and_nothing_changed(trained_images, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(trained_images, path)
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    with pytest.raises(errors.InputError, match="differs in training.seed"):
        train(path, seed=1)
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before
