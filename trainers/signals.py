"""SIGTERM as something that a run can put off until it has saved."""

import signal
import threading
import types
from typing import Any

from absl import logging

from trainers import errors

__all__ = ["Termination"]


class Termination:
    """Within `with`, SIGTERM raises `Terminated`, or waits to be asked for.

    While `deferred` is true it only sets `requested`. Outside of the main
    thread, where Python allows no handlers, it changes nothing.
    """

    def __init__(self) -> None:
        """Changes nothing yet."""
        self.deferred = False
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> "Termination":
        """Takes SIGTERM over."""
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(self, *_: Any) -> None:
        """Gives SIGTERM back."""
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        del number, frame
        if not self.deferred:
            raise errors.Terminated(
                "stopped by SIGTERM; the same command goes on from there."
            )
        self.requested = True
        logging.info("SIGTERM: saving a checkpoint, then leaving.")
