"""Turns what a user can get wrong on the command line into one line."""

import logging as std_logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags, logging

from trainers.runs import errors, start

__all__ = [
    "parse_flags",
    "print_config",
    "run",
    "set_data_path",
    "set_up_log",
]


def _fail(message: str) -> None:
    """Prints one line and leaves with an exit code that is not 0."""
    sys.stderr.write(f"{_as_line(message)}\n")
    sys.exit(start.EXIT_BAD_INPUT)


def _as_line(message: str) -> str:
    return f"error: {' '.join(message.split())}"


def _flag_error_message(error: flags.Error) -> str:
    """The last line of a traceback in it, or each of its lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "Traceback (most recent call last):" in lines:
        return lines[-1].removeprefix("ValueError: ")
    return " ".join(lines).removeprefix("flag ")


def _refused_key_message(error: Exception, argv: Sequence[str]) -> str | None:
    """Names the override that a locked config refused; None if none did."""
    text = str(error).replace("\\'", "'").replace("\\n", "\n").strip("\"'")
    key, _, advice = text.partition("\n")
    key = key.strip("\"'")
    for arg in argv:
        path = arg.lstrip("-").partition("=")[0]
        if arg.startswith("-") and key in path.split(".")[1:]:
            return (
                f"`--{path}` must name a key of the config; got {key!r}. "
                f"{advice}"
            )
    return None


def _file_error_message(error: OSError) -> str:
    """Drops what config_flags puts in front of the reason."""
    text = str(error)
    reason = text[max(text.find("[Errno"), 0) :]
    return f"`--config` must name a readable Python file; got {reason}"


def parse_flags(
    argv: Sequence[str], required: Sequence[str] = ("config", "workdir")
) -> list[str]:
    """Parses the flags; a bad one ends the program with one line on stderr.

    Args:
      argv: the command line, the program's name first.
      required: flags that must have a value.

    Returns:
      What is left of `argv` without the flags: the program's name.
    """
    values = flags.FLAGS
    try:
        rest = values(list(argv))
        if "print_config" in values and values["print_config"].value:
            required = ("config",)
        for name in required:
            if not values[name].value:
                _fail(f"`--{name}` must be given; got {values[name].value!r}.")
        if "config" in values:
            # Raises the reason if the file could not be loaded.
            getattr(values.config, "lock", None)
    except flags.Error as error:
        _fail(_flag_error_message(error))
    except OSError as error:
        _fail(_file_error_message(error))
    except (AttributeError, KeyError) as error:
        if "get_config" in str(error):
            _fail(f"`--config` must name a file with get_config; {error}.")
        message = _refused_key_message(error, argv)
        if message is None:
            raise
        _fail(message)
    if len(rest) > 1:
        _fail(f"Every argument must be a --flag; got {rest[1]!r}.")
    return rest


def set_data_path(config: Any, path: str | None) -> None:
    """Notes in a config where a user's own images are.

    Raises:
      InputError: there is a path, and the config is not one of images.
    """
    if path is None:
        return
    if "path" not in config.get("data", {}):
        raise errors.InputError(
            f"`--data_path` must be given with a config of images alone; got "
            f"{path!r}."
        )
    config.data.path = path


def print_config(config: Mapping[str, Any]) -> None:
    """Prints every key of a config and its value, as a flag that sets it."""
    for group, settings in config.items():
        for key, value in settings.items():
            sys.stdout.write(f"--config.{group}.{key}={value!r}\n")


def set_up_log() -> None:
    """Shows the log of a command that does not take its flags from absl."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # absl would warn that they are not
    logging.set_verbosity(logging.INFO)
    logging.use_absl_handler()
    _shorten_log()


def _shorten_log() -> None:
    """Lets the log say what a user wants to know, and when, in short lines."""
    handler = logging.get_absl_handler()
    handler.setFormatter(
        std_logging.Formatter(
            "%(levelname).1s %(asctime)s %(message)s", datefmt="%H:%M:%S"
        )
    )
    handler.addFilter(_is_no_note)
    # On the list of fonts that it makes when it is first used.
    std_logging.getLogger("matplotlib").setLevel(std_logging.WARNING)


def _is_no_note(record: std_logging.LogRecord) -> bool:
    # TensorFlow has one on every checkpoint, and on every graph of workers.
    message = record.getMessage()
    return not message.startswith(("Sharding callback duration", "Collective "))


def run(main: Callable[[Sequence[str]], None]) -> None:
    """`absl.app.run` in which bad input costs one line and no traceback.

    Args:
      main: called with what `parse_flags` returns.
    """
    start.prepare_command()

    def guarded_main(argv: Sequence[str]) -> None:
        try:
            main(argv)
        except (
            errors.InputError,
            errors.NonFiniteError,
            errors.StorageError,
        ) as error:
            start.leave(start.EXIT_BAD_INPUT, _as_line(str(error)))
        except errors.WorkerLostError as error:
            start.leave(start.EXIT_WORKER_LOST, _as_line(str(error)))

    _shorten_log()
    app.run(guarded_main, flags_parser=parse_flags)
