"""Errors that the command line shows as one line, without a traceback."""

__all__ = ["InputError", "NonFiniteError"]


class InputError(ValueError):
    """A setting, a file or a directory that a run cannot work with."""


class NonFiniteError(ArithmeticError):
    """Training met a NaN or an infinity and was stopped there."""
