"""The suite's own options leave out what they name, and nothing silently."""

import pathlib
import re
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TESTS = "tests/test_options.py::test_that_runs_in_another_process"


@pytest.mark.parametrize("index", range(5))
def test_that_runs_in_another_process(index):
    assert index in range(5)


def _run(*options):
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *options,
            TESTS,
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


@pytest.mark.parametrize(
    ("seconds_from_now", "outcome"), [(-1, "5 skipped"), (3600, "5 passed")]
)
def test_no_test_begins_after_stop_at(seconds_from_now, outcome):
    stop_at = str(time.time() + seconds_from_now)
    done = _run("-rs", "--no-fold-skipped", "--stop-at", stop_at)
    assert done.returncode == 0
    assert outcome in done.stdout
    line = f"SKIPPED {TESTS}[3] - Skipped: not begun: --stop-at is over"
    assert (line in done.stdout) == (seconds_from_now < 0)


def test_every_test_is_in_one_part():
    done = [_run("-v", "--part", f"{part}/2") for part in (1, 2)]
    found = [re.findall(r"process\[(\d)\] PASSED", d.stdout) for d in done]
    assert found == [["0", "2", "4"], ["1", "3"]]
    assert "3 deselected" in done[1].stdout


@pytest.mark.parametrize("part", ["0/2", "3/2", "2"])
def test_wrong_parts_are_refused(part):
    done = _run("--part", part)
    assert done.returncode == 4
    assert "--part" in done.stderr
    assert f"1/N to N/N; got {part!r}" in done.stderr


def test_cases_left_to_the_slow_run_are_of_tests_that_there_are():
    lines = (ROOT / "tests/slow_cases.txt").read_text().splitlines()
    assert lines == sorted(set(lines))
    for line in lines:
        path, name = re.fullmatch(
            r"(\S+?\.py)::(?:\w+::)?(\w+)\[.+\]", line
        ).groups()
        assert f"def {name}(" in (ROOT / path).read_text(), line
