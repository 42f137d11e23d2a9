"""Reads the part of `--config=module.py:variant` behind the colon."""

import difflib
from collections.abc import Iterable, Mapping

__all__ = ["check_length", "parse_variant", "suggestion"]


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message on an unknown word: a question, or a full stop."""
    close = difflib.get_close_matches(word, list(known), n=2)
    return f": did you mean {' or '.join(close)}?" if close else "."


def _one_of(key: str, value: str, known: Iterable[str]) -> str:
    known = tuple(known)
    if value not in known:
        raise ValueError(
            f"`{key}` must be one of {', '.join(known)}; got {value!r}"
            f"{suggestion(value, known)}"
        )
    return value


def _positive_int(key: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"`{key}` must be a positive integer; got {value!r}.")
    return int(value)


def parse_variant(
    variant: str | None,
    *,
    choices: Mapping[str, Iterable[str]],
    positive_ints: Iterable[str] = (),
    words: Iterable[str] = (),
    switches: Iterable[str] = (),
) -> dict[str, str | int | bool]:
    """Parses `key=value,key=value,switch` into a dictionary.

    Args:
      variant: the text; `None` and the empty text give an empty dictionary.
      choices: keys whose value must be one of the given words.
      positive_ints: keys whose value is a positive integer.
      words: keys whose value may be any word.
      switches: words that stand alone and mean `True`.

    Returns:
      A dictionary with the keys that were given.

    Raises:
      ValueError: for an unknown or repeated key and for a value that its key
        does not allow; the message lists what is known.
    """
    positive_ints, words = tuple(positive_ints), tuple(words)
    switches = tuple(switches)
    known = [
        *(f"{key}={'|'.join(values)}" for key, values in choices.items()),
        *(f"{key}=<positive integer>" for key in positive_ints),
        *(f"{key}=<name>" for key in words),
        *switches,
    ]
    settings: dict[str, str | int | bool] = {}
    for item in variant.split(",") if variant else ():
        key, has_value, value = item.partition("=")
        if key in settings:
            raise ValueError(f"`{key}` must be given once; got {variant!r}.")
        if key in choices and has_value:
            settings[key] = _one_of(key, value, choices[key])
        elif key in positive_ints and has_value:
            settings[key] = _positive_int(key, value)
        elif key in words and value:
            settings[key] = value
        elif key in switches and not has_value:
            settings[key] = True
        else:
            keys = [*choices, *positive_ints, *words, *switches]
            raise ValueError(
                f"Each part of the config's argument must be one of "
                f"{', '.join(known)}; got {item!r}{suggestion(key, keys)}"
            )
    return settings


def check_length(
    variant: Mapping[str, str | int | bool],
    flow: str = "flow",
    length: str = "K",
) -> None:
    """Refuses a length of no flow.

    Args:
      variant: as `parse_variant` returns it.
      flow: the key of the flow's name.
      length: that of its length.

    Raises:
      ValueError: if there is a length, and the flow is none.
    """
    if variant.get(flow) == "none" and length in variant:
        raise ValueError(
            f"`{length}` must not be given with {flow}=none; got "
            f"{variant[length]}."
        )
