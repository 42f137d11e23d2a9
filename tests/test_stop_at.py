"""`--stop-at`: tests that are not begun any more are named, not lost."""

import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TESTS = "tests/test_stop_at.py::test_that_runs_in_another_process"


def test_that_runs_in_another_process():
    pass


@pytest.mark.parametrize(
    ("seconds_from_now", "outcome"), [(-1, "1 skipped"), (3600, "1 passed")]
)
def test_begins_no_test_after_it(seconds_from_now, outcome):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *(
                "-rs",
                "--no-fold-skipped",
                "--stop-at",
                str(time.time() + seconds_from_now),
                TESTS,
            ),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0
    assert outcome in done.stdout
    line = f"SKIPPED {TESTS} - Skipped: not begun: --stop-at is over"
    assert (line in done.stdout) == (seconds_from_now < 0)
