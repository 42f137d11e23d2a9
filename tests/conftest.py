"""Settings that precede TensorFlow's import, and clean-up after each test."""

import argparse
import gc
import os
import pathlib
import sys
import time

import pytest

# Two cores' worth of work on two cores: the workers of pytest-xdist share them.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_THREADS = str(max(1, (os.cpu_count() or 1) // _WORKERS))

# Of parametrised tests, one case a line, by the seconds that they took.
SLOW_CASES = pathlib.Path(__file__).parent / "slow_cases.txt"

_TESTS_PER_COLLECTION = 20
_tests_since_collection: list[None] = []

for _name, _value in {
    "KERAS_BACKEND": "tensorflow",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": _THREADS,
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_NUM_INTRAOP_THREADS": _THREADS,
}.items():
    os.environ.setdefault(_name, _value)


def pytest_addoption(parser):
    parser.addoption(
        "--stop-at",
        type=float,
        metavar="TIME",
        help="begin no test after this time, in seconds since the epoch; the "
        "rest are skipped, and named with -rs --no-fold-skipped",
    )
    parser.addoption(
        "--part",
        type=_part,
        metavar="I/N",
        help="every N-th of the tests, from the I-th on: compiled code stays "
        "in memory until its process ends, so N runs need less of it",
    )


def _part(value):
    index, _, count = value.partition("/")
    if not (index.isdigit() and count.isdigit()) or not (
        1 <= int(index) <= int(count)
    ):
        raise argparse.ArgumentTypeError(
            f"must be one of 1/N to N/N; got {value!r}."
        )
    return int(index), int(count)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    stop_at = item.config.getoption("--stop-at")
    if stop_at is not None and time.time() > stop_at:
        pytest.skip("not begun: --stop-at is over")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    # Left to the slow run: two replicas, which take a process of their own, and
    # long cases of tests whose shorter ones stay.
    cases = set(SLOW_CASES.read_text(encoding="utf-8").splitlines())
    for item in items:
        if item.get_closest_marker("distributed") or item.nodeid in cases:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True, specname="pytest_collection_modifyitems")
def pytest_keep_part(config, items):
    # After -m and -k have left out theirs.
    part = config.getoption("--part")
    if part is not None:
        index, count = part
        left_out = items.copy()
        del left_out[index - 1 :: count]
        config.hook.pytest_deselected(items=left_out)
        items[:] = items[index - 1 :: count]


def pytest_collection_finish():
    # What the imports made lives as long as the process: exempt it, so that a
    # collection after each test takes no half second.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _bounded_memory():
    """Frees the graphs of tests, which are garbage only in cycles."""
    yield
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "utils"):
        keras.utils.clear_session(free_memory=False)
    # After some tests, not after each: a collection takes as long as many.
    _tests_since_collection.append(None)
    if len(_tests_since_collection) >= _TESTS_PER_COLLECTION:
        gc.collect()
        _tests_since_collection.clear()
