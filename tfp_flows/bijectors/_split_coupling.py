"""What the couplings share that move the last half as one signal."""

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows._tfp import ps
from tfp_flows.bijectors._conditioned import (
    ConditionedBijector,
    check_output_size,
)

__all__ = ["SplitCoupling"]


class SplitCoupling(ConditionedBijector):
    """A coupling that moves the last `D // 2` coordinates by the others."""

    @property
    @abc.abstractmethod
    def _outputs_each(self) -> int:
        """P, the outputs of the conditioner for each moved coordinate."""

    def _event_size(self) -> int | None:
        num_fixed, num_outputs = self._conditioner_sizes()
        if num_fixed is None or num_outputs is None:
            return None
        num_moved = num_outputs // self._outputs_each
        # Of another conditioner than this one needs, the outputs are refused.
        if num_moved not in (num_fixed, num_fixed - 1):
            return None
        return num_fixed + num_moved

    def _split(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """Fixed and moved part, outputs `[..., P, M]`, and own parameters."""
        event_size = x.shape[-1]
        if event_size is None or event_size < 2:
            raise ValueError(
                "`x` must have at least 2 coordinates, of which one conditions "
                "the other, and their number must be known statically; got "
                f"shape {x.shape}."
            )
        num_moved = event_size // 2
        own, conditioner = self._unpacked(parameters)
        fixed, moved = tf.split(x, [event_size - num_moved, num_moved], axis=-1)
        output = conditioner(fixed)
        check_output_size(output, self._outputs_each * num_moved)
        shape = [self._outputs_each, num_moved]
        output = tf.reshape(
            output, ps.concat([ps.shape(output)[:-1], shape], axis=0)
        )
        return fixed, moved, output, own


def joined(fixed: tf.Tensor, moved: tf.Tensor) -> tf.Tensor:
    """Both parts; the first is broadcast to the batch shape of the second."""
    shape = tf.concat([tf.shape(moved)[:-1], tf.shape(fixed)[-1:]], axis=0)
    full = tf.broadcast_to(fixed, shape)
    static = moved.shape[:-1].concatenate(fixed.shape[-1:])
    return tf.concat([tf.ensure_shape(full, static), moved], axis=-1)


def check_slope_size(slope: Any, moved: tf.Tensor) -> None:
    """Raises ValueError unless there is one slope for each moved coordinate."""
    if slope.shape.rank and slope.shape[-1] not in (1, moved.shape[-1], None):
        raise ValueError(
            "`unconstrained_slope` must have shape [..., D // 2] = [..., "
            f"{moved.shape[-1]}]; got {slope.shape}."
        )
