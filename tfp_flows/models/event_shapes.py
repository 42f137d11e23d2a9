"""The shape of one image: as it is given, or as an encoder or data have it."""

from collections.abc import Sequence

import keras

from tfp_flows._arguments import as_positive_integer

__all__ = ["check_event_shape", "resolve_event_shape", "static_event_shape"]


def check_event_shape(
    event_shape: Sequence[int] | None,
) -> tuple[int, ...] | None:
    """The argument as ints; raises unless it is sizes of an image, or None."""
    if event_shape is None:
        return None
    message = (
        "`event_shape` must hold positive integers, without the batch axis; "
        f"got {event_shape!r}."
    )
    if not isinstance(event_shape, Sequence) or not event_shape:
        raise ValueError(message)
    try:
        return tuple(as_positive_integer("event_shape", n) for n in event_shape)
    except ValueError:
        raise ValueError(message) from None


def resolve_event_shape(
    event_shape: Sequence[int] | None, encoder: keras.layers.Layer
) -> tuple[int, ...] | None:
    """The argument, or the input shape that the encoder was built for."""
    if event_shape is not None:
        return check_event_shape(event_shape)
    shape = getattr(encoder, "input_shape", None)
    if isinstance(shape, tuple) and len(shape) > 1 and None not in shape[1:]:
        return tuple(shape[1:])
    return None


def static_event_shape(
    input_shape: tuple[int | None, ...],
) -> tuple[int, ...]:
    """`input_shape` without its batch axis."""
    event_shape = tuple(n for n in input_shape[1:] if n is not None)
    if not event_shape or len(event_shape) < len(input_shape) - 1:
        raise ValueError(
            "`input_shape` must be [B, ...] with known image axes; "
            f"got {tuple(input_shape)}."
        )
    return event_shape
