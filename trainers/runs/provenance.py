"""What a result was made with: versions, commit, hardware."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

__all__ = [
    "cpu_model",
    "describe_code",
    "describe_end",
    "describe_hardware",
    "describe_start",
    "git",
]

_ROOT = str(pathlib.Path(__file__).resolve().parents[2])
_CODE = ("tfp_flows", "trainers", "configs")
_PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy")


def git(*arguments: str) -> str | None:
    """Output of a git command in the checkout; None where there is none."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def cpu_model() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe_code() -> dict[str, Any]:
    """Git commit of the checkout and versions of what the code runs on.

    Returns:
      `commit` (None outside a checkout), `dirty` (whether the library, the
      trainers or the configs differed from that commit) and `versions`.
    """
    status = git("status", "--porcelain", "--", *_CODE)
    return {
        "commit": git("rev-parse", "--verify", "HEAD"),
        "dirty": None if status is None else bool(status),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }


def describe_hardware() -> dict[str, Any]:
    """Processor, its cores, and the accelerators that TensorFlow sees."""
    import tensorflow as tf

    accelerators = [
        device.device_type
        for device in tf.config.list_physical_devices()
        if device.device_type != "CPU"
    ]
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "accelerators": accelerators,
    }


def describe_end() -> dict[str, Any]:
    """What every results.json keeps of when, where and of what it was made."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "finished": now.isoformat(timespec="seconds"),
        "hardware": describe_hardware(),
        **describe_code(),
    }


def describe_start() -> dict[str, Any]:
    """What run.json keeps of one start of a run."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "started": now.isoformat(timespec="seconds"),
        "command": [
            os.path.relpath(sys.argv[0], _ROOT)
            if sys.argv[0].startswith(_ROOT)
            else os.path.basename(sys.argv[0]),
            *sys.argv[1:],
        ],
        "hardware": describe_hardware(),
        **describe_code(),
    }
