"""Errors that the command line shows as one line, without a traceback."""

__all__ = [
    "InputError",
    "Interrupted",
    "NonFiniteError",
    "StorageError",
    "Terminated",
    "WorkerLostError",
]


class InputError(ValueError):
    """A setting, a file or a directory that a run cannot work with."""


class NonFiniteError(ArithmeticError):
    """Training met a NaN or an infinity and was stopped there."""


class StorageError(RuntimeError):
    """A file of the run could not be written: disk full, for example."""


class WorkerLostError(RuntimeError):
    """Another process that the run computes on stopped answering."""


class Terminated(Exception):
    """SIGTERM came; what was done until then is saved."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came; what was done until then is saved."""
