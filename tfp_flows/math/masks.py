"""Masks of networks and of couplings: what may see what."""

import functools

import numpy as np

__all__ = ["autoregressive_masks", "first_half"]


def first_half(event_size: int) -> np.ndarray:
    """True for the first half of the coordinates, rounded up."""
    return np.arange(event_size) < event_size - event_size // 2


@functools.lru_cache(maxsize=256)
def autoregressive_masks(
    order: tuple[int, ...],
    hidden_units: tuple[int, ...],
    num_outputs: int,
    num_inputs: int = 1,
) -> tuple[np.ndarray, ...]:
    """Masks under which output i depends on the coordinates before i alone.

    With `o_i` the place of coordinate i, and degrees 0, ..., D - 1 that the
    units of each hidden layer take in turn, a unit of degree d sees the inputs
    with `o_i < d` and the units before it with degrees up to d; output i sees
    the units with degrees up to `o_i`. So units of degree 0 see no input: they
    carry a context, which needs no mask, to the first coordinate.

    Args:
      order: `o_i`, each of 0, ..., D - 1 once.
      hidden_units: sizes of the hidden layers, at least D each.
      num_outputs: P, outputs of each coordinate.
      num_inputs: inputs of each coordinate, in blocks of D.

    Returns:
      For each kernel, zeros and ones `[inputs, outputs]`, int8; the last one's
      outputs are P blocks of D.
    """
    places = np.array(order)
    size = len(places)
    degrees = [np.arange(units) % size for units in hidden_units]
    inputs = np.tile(places, num_inputs)[:, np.newaxis]
    outputs = np.tile(places, num_outputs)
    if not hidden_units:
        return (_mask(inputs < outputs),)
    masks = [inputs < degrees[0]]
    for before, after in zip(degrees[:-1], degrees[1:], strict=True):
        masks.append(before[:, np.newaxis] <= after)
    masks.append(degrees[-1][:, np.newaxis] <= outputs)
    return tuple(map(_mask, masks))


def _mask(is_seen: np.ndarray) -> np.ndarray:
    mask = is_seen.astype(np.int8)
    mask.flags.writeable = False  # it is cached
    return mask
