"""Bad input on the command line: one line, no traceback, exit code not 0."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from trainers.runs import devices

ROOT = pathlib.Path(__file__).parents[3]
CONFIG = "--config=configs/energy_2d.py"
IMAGES = "--config=configs/digits.py"
UNUSED = "--workdir=unused"


def run_main(*arguments):
    # As a user starts it: pytest's own level would let more or less through.
    env = dict(os.environ)
    env.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.run(
        [sys.executable, "-m", "trainers.main", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_one_line(done, *words):
    assert done.returncode not in (0, None)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert errors == lines[-1:]
    for word in words:
        assert word in errors[0]


# These are answered before TensorFlow is imported: a fraction of a second.
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([CONFIG], ["`--workdir`", "given"]),
        (["--config=configs/no.py", UNUSED], ["`--config`", "no.py"]),
        (
            [CONFIG + ":target=u9", UNUSED],
            ["`target`", "u1, u2, u3, u4", "'u9'"],
        ),
        (
            [CONFIG, UNUSED, "--config.optimizer.learnin_rate=1"],
            ["--config.optimizer.learnin_rate", "learning_rate"],
        ),
        (
            [CONFIG, UNUSED, "--config.training.num_steps=many"],
            ["--config.training.num_steps", "many"],
        ),
        ([CONFIG, UNUSED, "--mode=play"], ["--mode", "play", "eval"]),
        (
            [IMAGES, UNUSED, "--strategy=gpu"],
            ["--strategy", "gpu", "auto|default|mirrored"],
        ),
        (
            [IMAGES + ":flow=nice", UNUSED],
            ["`flow`", "none, planar, radial, nice_ortho", "'nice'"],
        ),
        (
            [IMAGES + ":recipe=old", UNUSED],
            ["`recipe`", "modern, paper", "'old'"],
        ),
        (
            [IMAGES, UNUSED, "--config.model.latent_sise=3"],
            ["--config.model.latent_sise", "latent_size"],
        ),
        ([CONFIG, UNUSED, "stray"], ["'stray'"]),
        (
            [CONFIG, UNUSED, "--data_path=images.npz"],
            ["`--data_path`", "images alone", "'images.npz'"],
        ),
        (
            [IMAGES + ":flow=plannar", UNUSED],
            ["`flow`", "'plannar'", "did you mean planar?"],
        ),
        (
            ["--config=configs/images.py", UNUSED],
            ["`dataset`", "configs/images.py:dataset=npz"],
        ),
        (
            ["--config=trainers/runs/errors.py", UNUSED],
            ["`--config`", "get_config"],
        ),
    ],
)
def test_bad_flag_costs_one_line(arguments, words):
    done = run_main(*arguments)
    assert_one_line(done, *words)
    assert len(done.stderr.splitlines()) == 1


def test_the_config_is_printed_as_flags_that_make_it():
    arguments = (IMAGES + ":K=3", "--config.model.latent_size=7")
    done = run_main(*arguments, "--print_config")
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "--config.model.latent_size=7" in lines
    assert "--config.posterior.num_flow_steps=3" in lines
    # None stands for what the library chooses, and cannot be given.
    flags = [line.replace("'", "") for line in lines if "None" not in line]
    again = run_main(IMAGES, *flags, "--print_config")
    assert again.stdout == done.stdout


def test_unwritable_workdir_costs_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = run_main(CONFIG, f"--workdir={tmp_path}/file/below")
    assert_one_line(done, "`workdir`", "written to", "file/below")
    # Nothing of TensorFlow's: our log, and the error.
    *log, _ = done.stderr.splitlines()
    assert "Loading TensorFlow." in log[0]
    for line in log:
        assert re.match(r"[IW] \d\d:\d\d:\d\d ", line), line


@pytest.mark.slow  # each loads TensorFlow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            [IMAGES, "--config.data.dataset=mnits"],
            ["`data.dataset`", "npz, folder, digits", "'mnits'", "mnist"],
        ),
        (
            [IMAGES, "--config.training.batch_size=1298"],
            ["`training.batch_size`", "1297", "1298"],
        ),
        (
            ["--config=configs/mnist.py", "--data_dir=no/such/place"],
            ["`--data_dir`", "mnist", "digits.py", "no/such/place"],
        ),
    ],
)
def test_bad_input_costs_one_line_and_no_workdir(tmp_path, arguments, words):
    workdir = tmp_path / "run"
    done = run_main(*arguments, f"--workdir={workdir}")
    assert_one_line(done, *words)
    assert not workdir.exists()


def test_flags_are_those_of_the_choices_they_name():
    text = (ROOT / "trainers" / "main.py").read_text()
    assert str(list(devices.NAMES)).replace("'", '"') in text


def test_main_is_short_and_without_logic():
    text = (ROOT / "trainers" / "main.py").read_text()
    assert len(text.splitlines()) < 90
    assert text.count("if ") == 2  # of _PRINT_CONFIG, and of __name__
