"""Processes that measure one library each, and take turns.

A process serves what `serve` is given: it calls each function once, writes how
many seconds that took, and then, for each name that it reads, calls that one
again.
"""

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Calls", "PeerProcess", "measure", "serve"]

# What is timed, by name; each waits for its result.
Calls = Mapping[str, Callable[[], Any]]


class PeerProcess:
    """A library's process.

    Attributes:
      library: whose it is.
      first_seconds: of the first call of each function, by its name.
    """

    def __init__(self, library: str, name: str, command: Sequence[str]) -> None:
        """Starts it, and waits for the first calls.

        Args:
          library: whose it is.
          name: of the process, in errors.
          command: what to run; it ends in `serve`.

        Raises:
          RuntimeError: it has failed; with what it last said.
        """
        self.library, self._name = library, name
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        try:
            self.first_seconds: dict[str, float] = json.loads(self._read())
        except RuntimeError:
            self.__exit__()
            raise

    def __enter__(self) -> "PeerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._stderr.close()

    def seconds(self, what: str) -> float:
        """Of one more call of that function.

        Raises:
          RuntimeError: the process has failed; with what it last said.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()
        return float(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return line
        code = self._process.wait()
        self._stderr.seek(0)
        said = [s.strip() for s in self._stderr if s.strip()]
        raise RuntimeError(
            f"The process of {self._name} has ended with code {code}: "
            f"{' | '.join(said[-3:]) or 'it said nothing.'}"
        )


def measure(
    commands: Mapping[str, Sequence[str]],
    case: str,
    num_rounds: int,
    seed: int,
) -> tuple[dict[str, dict[str, float]], dict[tuple[str, str], list[float]]]:
    """First calls and then milliseconds, of the functions of all processes.

    Args:
      commands: of each process, by the library whose it is.
      case: what they compute, in errors.
      num_rounds: how often each function is timed.
      seed: of the order, which is another one in every round.

    Returns:
      Seconds of the first calls, by library and function; and milliseconds of
      the others, by both.
    """
    times: dict[tuple[str, str], list[float]] = {}
    generator = random.Random(seed)
    with contextlib.ExitStack() as stack:
        peers = [
            stack.enter_context(
                PeerProcess(library, f"{library} ({case})", command)
            )
            for library, command in commands.items()
        ]
        for _ in range(num_rounds):
            for peer in generator.sample(peers, len(peers)):
                for what in peer.first_seconds:
                    times.setdefault((peer.library, what), []).append(
                        1e3 * peer.seconds(what)
                    )
        return {peer.library: peer.first_seconds for peer in peers}, times


def serve(make: Callable[[], Calls]) -> None:
    """See the module's docstring.

    Args:
      make: the functions by name. What it takes counts with the first calls of
        none of them.
    """
    out, sys.stdout = sys.stdout, sys.stderr  # what a library prints
    calls = make()

    def seconds(call: Callable[[], Any]) -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    first = {name: seconds(call) for name, call in calls.items()}
    print(json.dumps(first), file=out, flush=True)
    for line in sys.stdin:
        print(seconds(calls[line.strip()]), file=out, flush=True)
