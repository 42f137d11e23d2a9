"""What the couplings share that move the last half as one signal."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors._conditioned import (
    ConditionedBijector,
    check_output_size,
)

__all__ = ["SplitCoupling"]


class SplitCoupling(ConditionedBijector):
    """A coupling that moves the last `D // 2` coordinates by the others."""

    # Outputs of the conditioner for each moved coordinate.
    _outputs_each: int

    def _event_size(self) -> int | None:
        return None

    def _split(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], dict[str, tf.Tensor]]:
        """The fixed and the moved part, outputs, and own parameters."""
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
        return fixed, moved, tf.split(output, self._outputs_each, -1), own


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
