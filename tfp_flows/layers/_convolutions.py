"""What the convolutions of encoders and decoders share: strides, and gates."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows._arguments import (
    check_positive_integers,
    is_positive_integer,
)

__all__ = ["activate", "check_strides", "make_convolution"]

Activation = Callable[[tf.Tensor], tf.Tensor]


def check_strides(strides: Any, filters: Sequence[int]) -> tuple[int, ...]:
    """One stride for each convolution; raises unless they are that."""
    if is_positive_integer(strides):
        return (int(strides),) * len(filters)
    strides = check_positive_integers("strides", strides)
    if len(strides) != len(filters):
        raise ValueError(
            "`strides` must be one integer, or one for each of the "
            f"{len(filters)} `filters`; got {strides}."
        )
    return strides


def make_convolution(
    kind: Callable[..., Any],
    filters: int,
    *,
    activation: Activation | None,
    gated: bool,
    **kwargs: Any,
) -> Any:
    """A convolution of `kind` for `activate`; `activation` None: linear."""
    is_gated = gated and activation is not None
    return kind(
        2 * filters if is_gated else filters,
        padding="same",
        activation=None if is_gated else activation,
        data_format="channels_last",
        **kwargs,
    )


def activate(x: tf.Tensor, activation: Activation, gated: bool) -> tf.Tensor:
    """`activation(a) * sigmoid(b)` of the halves of the channels, if gated."""
    if not gated:
        return x  # the convolution has done it
    values, gates = tf.split(x, 2, axis=-1)
    return activation(values) * tf.sigmoid(gates)
