"""How every command starts and is stopped: quiet, and by one line.

Imports nothing that takes time, as it comes before everything else.
"""

import contextlib
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import signal
import sys
import tempfile
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from trainers.runs import errors

__all__ = [
    "EXIT_BAD_INPUT",
    "EXIT_INTERRUPTED",
    "EXIT_TERMINATED",
    "EXIT_WORKER_LOST",
    "leave",
    "prepare_command",
]

EXIT_BAD_INPUT = 2
EXIT_WORKER_LOST = 75  # EX_TEMPFAIL: the same command can go on

# As a shell reports these signals.
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM

# What TensorFlow's C++ part says of itself while it is imported, before it
# reads TF_CPP_MIN_LOG_LEVEL: notes, as opposed to W, E and F.
_NOTE = re.compile(
    rb"I0000 |I\d{4} \d\d:\d\d:\d\d\.|WARNING: All log messages before absl::"
)


@functools.cache
def prepare_command() -> None:
    """Makes a command of this process; before TensorFlow is imported.

    TensorFlow's notes on its own start are left out, unless
    TF_CPP_MIN_LOG_LEVEL is 0. Ctrl-C ends the process with one line and exit
    code 130; a second one aborts it at once, wherever it is. What a run raises
    for SIGTERM ends it with one line and exit code 143.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if level != "0" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _QuietTensorFlow())
    sys.excepthook = _excepthook
    _watch_interrupts()


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Lets the first import of TensorFlow happen without its notes."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Finds TensorFlow, as Python does, and nothing else."""
        del path, target
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def execute_quietly(module: types.ModuleType) -> None:
                with _without_notes():
                    execute(module)

            loader.exec_module = execute_quietly
        return spec


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Holds back what is written to stderr; drops TensorFlow's notes of it."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not _NOTE.match(line):
                    os.write(2, line)


def _excepthook(
    kind: type[BaseException],
    error: BaseException,
    traceback: types.TracebackType | None,
) -> None:
    """Python's own, but one line for what stops a command."""
    if issubclass(kind, errors.Terminated):
        leave(EXIT_TERMINATED, str(error))
    if issubclass(kind, KeyboardInterrupt):
        message = "stopped by Ctrl-C; what was finished is kept."
        leave(EXIT_INTERRUPTED, str(error) or message)
    sys.__excepthook__(kind, error, traceback)
    if os.environ.get("TF_CONFIG"):
        leave(1)  # other workers may be waiting for this one


def leave(exit_code: int, message: str = "") -> NoReturn:
    """Ends the process at once, with a line on stderr.

    Without an orderly end, which TensorFlow can draw out for seconds, and for
    ever where other workers wait for this one.
    """
    if message:
        sys.stderr.write(f"{message}\n")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(exit_code)


def _watch_interrupts() -> None:
    """Answers Ctrl-C at once; Python itself does so between instructions.

    One of which may be XLA's compilation of many seconds.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler in (signal.SIG_IGN, None):
        return  # a command in the background of a script
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    threading.Thread(
        target=_answer_interrupts, args=(read_end,), daemon=True
    ).start()


def _answer_interrupts(read_end: int) -> None:
    count = 0
    while True:
        new = os.read(read_end, 64).count(signal.SIGINT)
        count += new
        if count >= 2:
            os.write(2, b"\naborted by a second Ctrl-C.\n")
            os._exit(EXIT_INTERRUPTED)
        if new:
            os.write(2, b"\nCtrl-C: stopping; once more aborts at once.\n")
