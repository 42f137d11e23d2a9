"""SIGTERM and Ctrl-C as something that a run can put off until it has saved."""

import contextlib
import signal
import threading
import types
from collections.abc import Iterator
from typing import Any

from absl import logging

from trainers.runs import errors

__all__ = ["Termination"]

_NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


class Termination:
    """Within `with`, SIGTERM and SIGINT raise errors of ours, or are put off.

    Within `put_off` they only set `requested`; a second SIGINT raises
    `KeyboardInterrupt` nevertheless. A SIGINT that is ignored, as in the
    background of a script, stays so. Outside of the main thread, where Python
    allows no handlers, nothing is changed.
    """

    def __init__(self) -> None:
        """Changes nothing yet."""
        self._deferred = False
        self.requested: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Termination":
        """Takes the signals over."""
        if threading.current_thread() is threading.main_thread():
            for number in _NAMES:
                handler = signal.getsignal(number)
                if handler not in (signal.SIG_IGN, None):
                    signal.signal(number, self._handle)
                    self._previous[number] = handler
        return self

    def __exit__(self, *_: Any) -> None:
        """Gives them back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def put_off(self) -> Iterator[None]:
        """While in it, signals wait until `stop` is called, or its end."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.stop()

    def stop(self, step: int | None = None, checkpoints: str = "") -> None:
        """Raises for the signal that came, if one did.

        Args:
          step: the step that was saved for it, if one was.
          checkpoints: the folder that it was saved in.

        Raises:
          Terminated: for SIGTERM.
          Interrupted: for SIGINT.
        """
        if self.requested is None:
            return
        is_interrupt = self.requested == signal.SIGINT
        kind = errors.Interrupted if is_interrupt else errors.Terminated
        saved = f"step {step} is saved in {checkpoints}, and "
        raise kind(
            f"stopped by {_NAMES[self.requested]}; "
            f"{'' if step is None else saved}the same command goes on from "
            "there."
        )

    def request(self) -> None:
        """Stops as for SIGTERM, unless a signal came already."""
        self.requested = self.requested or signal.SIGTERM

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        if self.requested == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = signal.Signals(number)
        if not self._deferred:
            self.stop()
        logging.info("Saving a checkpoint, then leaving.")
