"""Where variables of a density lie, and the bijectors onto it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.models.inputs.images import Region

__all__ = [
    "NAMES",
    "Support",
    "deserialize",
    "get",
    "region",
    "serialize",
    "whole_numbers",
]

tfb = tfp.bijectors

# Onto where, from R; of "circular" see `Support`.
_BIJECTORS = {
    "real": tfb.Identity,
    "positive": tfb.Exp,
    "unit_interval": tfb.Sigmoid,
    # SoftmaxCentered is broken with NumPy 2.4.
    "simplex": tfb.IteratedSigmoidCentered,
    "circular": tfb.Identity,
}
_OF_VECTORS = ("simplex",)
NAMES = tuple(_BIJECTORS)
_OPEN = "an open set: its boundary is not in it"


class Support(NamedTuple):
    """The support of vectors of D numbers.

    Attributes:
      given: as the user gave it.
      bijector: from R^n onto it; of coordinates that are circular, the
        identity.
      circular: coordinates with period `2 pi`.
    """

    given: Any
    bijector: tfb.Bijector
    circular: tuple[int, ...] = ()


def region(support: Any, dtype: str) -> Region | None:
    """What a support asks of data `[N, ...]`; None if any numbers will do."""
    if _is_everything(support):
        return None

    def contains(x: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(tf.cast(x, dtype), [-1, math.prod(x.shape[1:])])
        bijector = get(support, x.shape[-1]).bijector
        y = bijector.inverse(x)
        back = bijector.forward(tf.identity(y))  # not from the cache
        # What rounding may do: an interval of 20 ends beside 0 by 1e-6, too.
        moved = bijector.forward(y + 1e-3 * (1.0 + tf.abs(y)))
        rounding = 1e-3 * (1e-3 + tf.abs(x)) + tf.abs(moved - back)
        near = tf.abs(back - x) <= rounding
        inside = tf.reduce_all(tf.math.is_finite(y), axis=-1)
        return inside & tf.reduce_all(near, axis=-1)

    return Region(f"{_in_words(support)} ({_OPEN})", contains)


def whole_numbers(num_levels: int) -> Region:
    """The region of whole numbers below `num_levels`, from 0 on."""

    def contains(x: tf.Tensor) -> tf.Tensor:
        right = (x == tf.floor(x)) & (x >= 0) & (x < num_levels)
        return tf.reduce_all(right, axis=list(range(1, x.shape.rank)))

    return Region(f"the whole numbers from 0 to {num_levels - 1}", contains)


def get(support: Any, size: int) -> Support:
    """The support of that name, bijector, or list of one for each variable.

    Args:
      support: one of `NAMES`, a bijector from R^n onto the support (of all
        variables together if it takes vectors, else of each one), a list of a
        name or such a bijector of one variable for each, or None: "real".
      size: D, the number of variables.

    Raises:
      ValueError: an unknown name, or a list of another length.
      TypeError: it is nothing of these.
    """
    if support is None:
        support = "real"
    if isinstance(support, str) or isinstance(support, tfb.Bijector):
        circular = tuple(range(size)) if support == "circular" else ()
        return Support(support, _bijector(support), circular)
    if not isinstance(support, Sequence):
        raise TypeError(
            f"`support` must be one of {', '.join(NAMES)}, a bijector, or a "
            f"list of them; got {support!r}."
        )
    if len(support) != size:
        raise ValueError(
            f"`support` must hold one entry for each of the {size} variables; "
            f"got {len(support)}."
        )
    blocks, sizes = [], []
    for one, group in itertools.groupby(support):
        bijector = _bijector(one)
        if bijector.forward_min_event_ndims:
            raise ValueError(
                "`support` must hold, in a list, supports of single variables; "
                f"got {_in_words(one)}."
            )
        blocks.append(bijector)
        sizes.append(len(list(group)))
    circular = tuple(i for i, one in enumerate(support) if one == "circular")
    bijector = (
        blocks[0]
        if len(blocks) == 1
        else tfb.Blockwise(blocks, block_sizes=sizes)
    )
    return Support(list(support), bijector, circular)


def _bijector(one: Any) -> tfb.Bijector:
    if isinstance(one, tfb.Bijector):
        rank = max(one.forward_min_event_ndims, one.inverse_min_event_ndims)
        if rank > 1:
            raise ValueError(
                "`support` must be a bijector of numbers or vectors; got "
                f"{one.name}, of rank {rank}."
            )
        return one
    if not isinstance(one, str):
        raise TypeError(
            f"`support` must be one of {', '.join(NAMES)}, a bijector, or a "
            f"list of them; got {one!r}."
        )
    if one not in _BIJECTORS:
        raise ValueError(
            f"`support` must be one of {', '.join(NAMES)}, or a bijector; got "
            f"{one!r}."
        )
    return _BIJECTORS[one]()


def _is_everything(given: Any) -> bool:
    if given is None:
        return True
    if isinstance(given, list | tuple):
        return all(map(_is_everything, given))
    return isinstance(given, str) and given in ("real", "circular")


def _in_words(given: Any) -> str:
    if isinstance(given, list | tuple):
        return f"[{', '.join(map(_in_words, given))}]"
    return given if isinstance(given, str) else f"the image of {given.name}"


def serialize(given: Any) -> Any:
    """A support as plain data, for a saved model.

    Raises:
      ValueError: a bijector has other parameters than numbers, arrays and
        bijectors of TFP.
    """
    if isinstance(given, list | tuple):
        return [serialize(one) for one in given]
    if not isinstance(given, tfb.Bijector):
        return given
    name = type(given).__name__
    known = getattr(tfb, name, None) is type(given)
    parameters = {
        key: _plain(value, name)
        for key, value in given.parameters.items()
        if value is not None and key not in ("name", "validate_args")
    }
    if not known:
        raise ValueError(
            "`support` must be a name, or made of bijectors of "
            f"`tfp.bijectors`, for the model to be saved; got {name}."
        )
    return {"bijector": name, "parameters": parameters}


def deserialize(data: Any) -> Any:
    """What `serialize` was given."""
    if isinstance(data, list):
        return [deserialize(one) for one in data]
    if not isinstance(data, Mapping):
        return data
    if "array" in data:
        return np.array(data["array"], data["dtype"])
    parameters = {
        key: deserialize(value) for key, value in data["parameters"].items()
    }
    return getattr(tfb, data["bijector"])(**parameters)


def _plain(value: Any, name: str) -> Any:
    is_numpy = isinstance(value, np.generic)  # which float64 scalars are, too
    if isinstance(value, bool | int | float | str) and not is_numpy:
        return value
    if isinstance(value, tfb.Bijector):
        return serialize(value)
    if isinstance(value, list | tuple):
        return [_plain(one, name) for one in value]
    try:
        array = np.asarray(value)
        if array.dtype == object:
            raise TypeError("no numbers")
        return {"array": array.tolist(), "dtype": array.dtype.name}
    except (TypeError, ValueError):
        raise ValueError(
            "`support` must have numbers for parameters, for the model to be "
            f"saved; got {value!r} in {name}."
        ) from None
