"""What bijectors share some of whose coordinates are points of a circle."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors._conditioned_bijector import ConditionedBijector
from tfp_flows.bijectors.parameters import last_axis, static_value
from tfp_flows.bijectors.transformers import (
    CircularRationalQuadratic,
    RationalQuadratic,
    Transformer,
)

__all__ = ["CircularCoordinates", "spline_transformer"]


def spline_transformer(
    num_bins: int,
    tail_bound: float,
    circular: bool | Sequence[int],
    half_width: float,
) -> Transformer:
    """The spline of coordinates of which some, all or none are circular."""
    if circular is False:
        return RationalQuadratic(num_bins, tail_bound)
    return CircularRationalQuadratic(num_bins, half_width, tail_bound, circular)


class CircularCoordinates(ConditionedBijector):
    """Splines of lines and circles, with `circular_mask` among its tensors."""

    _own_kinds = ("circular_mask",)

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        return {
            **super()._parameter_properties(dtype),
            "circular_mask": tfp.util.ParameterProperties(
                event_ndims=1, is_preferred=False
            ),
        }

    @property
    def circular(self) -> bool | tuple[int, ...]:
        """Which coordinates are circular: none, all or these."""
        return getattr(self._transformer, "circular", False)

    @property
    def half_width(self) -> float:
        """Half of the length of the circles."""
        return self.parameters["half_width"]

    @property
    def circular_mask(self) -> Any:
        """Ones for the circular coordinates, `[..., D]`; or None."""
        return self._circular_mask

    def _check_circular_mask(self, event_size: int | None) -> None:
        """Raises ValueError if there is a mask, and it is none of D."""
        mask = self._circular_mask
        if mask is None:
            return
        if self.circular is not True:
            raise ValueError(
                "`circular` must be True where `circular_mask` says which "
                f"coordinates are; got {self.circular}."
            )
        size = tf.TensorShape([last_axis(mask)])
        if mask.shape.rank == 0 or not size.is_compatible_with([event_size]):
            raise ValueError(
                f"`circular_mask` must have shape [..., {event_size or 'D'}]; "
                f"got {mask.shape}."
            )
        values = static_value(mask)
        if values is not None and not np.isin(values, (0, 1)).all():
            raise ValueError(
                "`circular_mask` must hold zeros and ones (circular) alone; "
                f"got {values.tolist()}."
            )
