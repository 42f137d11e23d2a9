"""Runs a trainer in several processes of this machine, as workers of one run.

    python -m trainers.launch_local --workers=2 -- \
        --config=configs/digits.py --workdir=runs/digits

What follows `--` are the flags of `trainers.main`. Each line of a worker is
preceded by its number. Ctrl-C and SIGTERM are passed on to all of them. When
one ends with an error, the others have half a minute to notice.

Exit codes: those of `trainers.main`, of the first worker that failed; 128 and
the signal's number for one that was killed. The same command goes on from the
last checkpoint, with any number of workers that the batch can be divided among.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Sequence
from typing import IO

__all__ = ["free_ports", "main"]

_SECONDS_TO_NOTICE = 30.0
_SECONDS_BETWEEN_LOOKS = 0.1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m trainers.launch_local",
        description="Runs a trainer in several processes of this machine.",
    )
    parser.add_argument("--workers", type=int, default=2, help="how many")
    parser.add_argument(
        "flags", nargs="*", metavar="-- --flag", help="of trainers.main"
    )
    arguments = parser.parse_args(argv)
    if arguments.workers < 1:
        parser.error(f"`--workers` must be positive; got {arguments.workers}.")
    for flag in arguments.flags:
        if flag.lstrip("-").partition("=")[0] == "strategy":
            parser.error(f"`--strategy` must be left to this; got {flag!r}.")
    return arguments


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class _Worker:
    """One process, whose output is printed line by line."""

    def __init__(
        self, index: int, flags: list[str], environment: dict[str, str]
    ) -> None:
        # In a group of its own: a terminal's Ctrl-C comes through us alone.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainers.main", *flags],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._prefix = f"[worker {index}] "
        self._printer = threading.Thread(
            target=self._print, args=(self.process.stdout,), daemon=True
        )
        self._printer.start()

    def _print(self, lines: IO[str]) -> None:
        for line in lines:
            sys.stdout.write(f"{self._prefix}{line.rstrip()}\n")
            sys.stdout.flush()

    @property
    def exit_code(self) -> int | None:
        """As of a shell; None while it runs."""
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    def send(self, number: int) -> None:
        """A signal, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def finish(self) -> None:
        """Waits for its end and its last line."""
        self.process.wait()
        self._printer.join(timeout=5.0)


def _start(index: int, addresses: list[str], flags: list[str]) -> _Worker:
    task = {"type": "worker", "index": index}
    config = {"cluster": {"worker": addresses}, "task": task}
    threads = str(max(1, (os.cpu_count() or 1) // len(addresses)))
    environment = {
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "TF_CONFIG": json.dumps(config),
    }
    return _Worker(index, flags, environment)


def _wait_for(workers: Sequence[_Worker]) -> int:
    """Until all have ended; the exit code of the first that failed, or 0."""
    failed, deadline = 0, float("inf")
    while any(worker.exit_code is None for worker in workers):
        codes = [worker.exit_code for worker in workers]
        failed = failed or next((code for code in codes if code), 0)
        if failed:
            deadline = min(deadline, time.monotonic() + _SECONDS_TO_NOTICE)
        if time.monotonic() > deadline:
            for worker in workers:
                worker.send(signal.SIGKILL)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    for worker in workers:
        worker.finish()
    return failed or next((w.exit_code for w in workers if w.exit_code), 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    arguments = _parse(argv)
    ports = free_ports(arguments.workers)
    addresses = [f"localhost:{port}" for port in ports]
    flags = ["--strategy=multi_worker", *arguments.flags]
    workers: list[_Worker] = []

    def pass_on(number: int, frame: types.FrameType | None) -> None:
        del frame
        for worker in workers:
            worker.send(number)

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    try:
        for index in range(arguments.workers):
            workers.append(_start(index, addresses, flags))
        return _wait_for(workers)
    finally:
        pass_on(signal.SIGKILL, None)


if __name__ == "__main__":
    sys.exit(main())
