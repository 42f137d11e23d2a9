"""How commands start and stop, in real processes without TensorFlow."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[3]

# Longer than any test, in one call that Python's own handlers cannot enter.
WORK = 'hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**9)'
TENSORFLOW = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called"
            b" are written to STDERR\\n")
os.write(2, b"I0000 00:00:1795881942.665422 1 port.cc:153] oneDNN is on.\\n")
os.write(2, b"2026-01-01 I am not a note\\n")
os.write(2, b"E0000 00:00:1795881942.665422 1 cuda.cc:1] broken\\n")
"""


def start(code, **env):
    env = {k: v for k, v in os.environ.items() if not k.startswith("TF_")} | env
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ignored where the tests run in the background of a script.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def command(work):
    return (
        "from trainers.runs import start; start.prepare_command();"
        "import hashlib;"
        f"print('ready', flush=True); {work}"
    )


def test_ctrl_c_costs_one_line():
    process = start(command("import time; time.sleep(60)"))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "stopped by Ctrl-C; what was finished is kept.\n" in stderr


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")],
)
def test_stopped_run_costs_one_line(number, code, name):
    process = start(
        "from trainers.runs import start, signals; start.prepare_command()\n"
        "import time\n"
        "with signals.Termination() as termination, termination.put_off():\n"
        "    print('ready', flush=True)\n"
        "    while not termination.requested: time.sleep(0.01)\n"
        "    termination.stop(7, 'here')\n"
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in stderr
    # The notice of Ctrl-C is another thread's, with an empty line before it,
    # and may come behind the last.
    said = [s for s in stderr.splitlines() if s and "once more" not in s]
    assert said[-1] == (
        f"stopped by {name}; step 7 is saved in here, and the same command "
        "goes on from there."
    )


def test_second_ctrl_c_aborts_what_python_cannot_interrupt():
    process = start(command(WORK))
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "\n"
    line = process.stderr.readline()
    assert line == "Ctrl-C: stopping; once more aborts at once.\n"
    time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr == "\naborted by a second Ctrl-C.\n"


def test_other_errors_keep_their_traceback():
    process = start(command("1 / 0"))
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    ("env", "lines"),
    [
        ({}, ["2026-01-01 I am not a note", "E0000 00:00:17", "after"]),
        (
            {"TF_CPP_MIN_LOG_LEVEL": "2"},
            ["2026-01-01", "E0000 00:00:17", "after"],
        ),
        (
            {"TF_CPP_MIN_LOG_LEVEL": "0"},
            ["WARNING: ", "I0000", "2026-01-01", "E0000 00:00:17", "after"],
        ),
    ],
)
def test_first_import_of_tensorflow_is_quiet(tmp_path, env, lines):
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(TENSORFLOW)
    work = (
        f"import os, sys; sys.path.insert(0, {str(tmp_path)!r});"
        "import tensorflow; os.write(2, b'after\\n');"
        "print(os.environ['TF_CPP_MIN_LOG_LEVEL'], tensorflow.__name__)"
    )
    process = start(command(work), **env)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0
    level = env.get("TF_CPP_MIN_LOG_LEVEL", "3")
    assert stdout == f"ready\n{level} tensorflow\n"
    for line, beginning in zip(stderr.splitlines(), lines, strict=True):
        assert line.startswith(beginning)


def test_failed_import_of_tensorflow_is_told(tmp_path):
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(TENSORFLOW + "import no_such_module\n")
    work = f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
    process = start(command(work + "import tensorflow"))
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "No module named 'no_such_module'" in stderr
    assert "broken" in stderr


def test_only_commands_are_prepared():
    check = (
        "import os, signal, sys; print(sys.excepthook is sys.__excepthook__,"
        "'TF_CPP_MIN_LOG_LEVEL' in os.environ, signal.set_wakeup_fd(-1))"
    )
    process = start(f"import trainers; {check}")
    assert process.communicate(timeout=30)[0] == "True False -1\n"
    process = start(f"import sys; sys.argv = ['-m']; import trainers; {check}")
    stdout, _ = process.communicate(timeout=30)
    assert stdout.startswith("False True ")
