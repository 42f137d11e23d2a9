"""What a benchmark needs around its measurement: children and the record."""

import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from trainers.runs import provenance

__all__ = [
    "ChildResult",
    "describe",
    "finished_child",
    "in_turns",
    "peak_memory_mib",
    "quartiles",
    "run_child",
]

ROOT = Path(__file__).resolve().parents[1]
_POLL_SECONDS = 0.2


class ChildResult(NamedTuple):
    """How a child process ended, and what it wrote if it finished.

    `status` is "finished", "out of time", "out of memory" or "failed".
    """

    status: str
    seconds: float
    values: dict[str, Any]
    message: str = ""


def run_child(
    module: str,
    task: dict[str, Any],
    *,
    limit_seconds: float | None = None,
    limit_mib: float | None = None,
    python: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> ChildResult:
    """Runs `python -m module TASK RESULT` in a fresh process.

    The child reads its task from one JSON file and writes its values to
    another. The memory limit is on the resident set, watched through /proc:
    a limit on the address space would count what is only reserved.

    Args:
      module: dotted name, importable from the root of the checkout.
      task: what the child reads.
      limit_seconds: the child is ended after so many seconds.
      limit_mib: the child is ended when its resident set is larger.
      python: the interpreter. Default: None, this one.
      environment: variables that the child has besides those of this process.
    """
    with tempfile.TemporaryDirectory() as folder:
        task_file = Path(folder, "task.json")
        result_file = Path(folder, "result.json")
        stderr_file = Path(folder, "stderr.txt")
        task_file.write_text(json.dumps(task))
        start = time.perf_counter()
        with stderr_file.open("w") as stderr:
            child = subprocess.Popen(
                [
                    python or sys.executable,
                    "-m",
                    module,
                    task_file,
                    result_file,
                ],
                cwd=ROOT,
                env={
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    **os.environ,
                    **(environment or {}),
                },
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
            try:
                status = _wait(child, start, limit_seconds, limit_mib)
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
        seconds = time.perf_counter() - start
        if status != "finished":
            lines = stderr_file.read_text().strip().splitlines()
            return ChildResult(status, seconds, {}, "\n".join(lines[-5:]))
        values = json.loads(result_file.read_text())
        return ChildResult(status, seconds, values)


def finished_child(name: str, module: str, task: dict[str, Any]) -> ChildResult:
    """`run_child` without limits.

    Args:
      name: of the process, in the error.
      module: see `run_child`.
      task: see `run_child`.

    Raises:
      RuntimeError: it did not finish.
    """
    result = run_child(module, task)
    if result.status != "finished":
        raise RuntimeError(
            f"The process of {name} {result.status}: {result.message}"
        )
    return result


def _wait(
    child: subprocess.Popen,
    start: float,
    limit_seconds: float | None,
    limit_mib: float | None,
) -> str:
    while child.poll() is None:
        if limit_seconds and time.perf_counter() - start > limit_seconds:
            return "out of time"
        if limit_mib and _status_mib(child.pid, "VmRSS") > limit_mib:
            return "out of memory"
        time.sleep(_POLL_SECONDS)
    return "finished" if child.returncode == 0 else "failed"


def _status_mib(pid: int | str, field: str) -> float:
    """A size from /proc/PID/status in MiB; 0 where there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    for line in lines:
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024.0
    return 0.0


def peak_memory_mib() -> float:
    """The peak resident set of this process, in MiB."""
    # Not `ru_maxrss`: it survives exec, so a child starts at its parent's.
    peak = _status_mib("self", "VmHWM")
    if peak:
        return peak
    import resource

    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum / (2**20 if sys.platform == "darwin" else 2**10)


def in_turns(
    ways: Mapping[str, Callable[[], Any]], num_rounds: int
) -> dict[str, list[float]]:
    """Seconds of every way, called in an order drawn for each round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    generator = random.Random(0)
    for _ in range(num_rounds):
        for name in generator.sample(list(ways), len(ways)):
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    if len(values) < 2:
        q1 = median = q3 = float(values[0])
    else:
        q1, median, q3 = statistics.quantiles(values, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3}


def describe(measured: Sequence[str] = ("tfp_flows", "benchmarks")) -> dict:
    """Commit, date and machine; `dirty`: `measured` differs from the commit."""
    commit = provenance.git("rev-parse", "HEAD")
    changes = provenance.git("status", "--porcelain", "--", *measured)
    return {
        "commit": commit,
        "dirty": None if commit is None else bool(changes),
        "date": time.strftime("%Y-%m-%d"),
        "machine": {
            "cpu": provenance.cpu_model(),
            "cores": os.cpu_count(),
            "platform": f"{platform.system()} {platform.machine()}",
        },
    }
