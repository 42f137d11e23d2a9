"""What the element-wise couplings share: the mask."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows.bijectors._conditioned import ConditionedBijector
from tfp_flows.bijectors.parameters import last_axis, static_value
from tfp_flows.types import TensorLike

__all__ = ["MaskedCoupling"]


class MaskedCoupling(ConditionedBijector):
    """A coupling that moves the coordinates where `mask` is 0."""

    def __init__(
        self,
        conditioner: Any,
        conditioner_parameters: Mapping[str, TensorLike] | None,
        context: TensorLike | None,
        mask: TensorLike | None,
        **kwargs: Any,
    ) -> None:
        """See the subclasses."""
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            own_parameters={"mask": mask},
            **kwargs,
        )
        if self._mask is not None:
            _check_mask(self._mask)
            _check_mask_size(self._mask, self._conditioner_sizes()[0])

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        return {
            **super()._parameter_properties(dtype),
            "mask": tfp.util.ParameterProperties(
                event_ndims=1, is_preferred=False
            ),
        }

    @property
    def mask(self) -> Any:
        """Ones for what conditions, zeros for what is moved; None: halves."""
        return self._mask

    def _event_size(self) -> int | None:
        size = None if self._mask is None else last_axis(self._mask)
        return size or self._conditioner_sizes()[0]

    def _mask_for(
        self, x: tf.Tensor, own: Mapping[str, tf.Tensor]
    ) -> tf.Tensor:
        event_size = x.shape[-1]
        if event_size is not None and event_size < 2:
            raise ValueError(
                "`x` must have at least 2 coordinates, of which one conditions "
                f"the other; got shape {x.shape}."
            )
        if "mask" in own:
            return own["mask"]
        if event_size is None:
            raise ValueError(
                "`mask` must be given, with a known size, where neither `x` "
                "nor `conditioner` has a number of coordinates that is known "
                f"statically; got mask = None and x of shape {x.shape}."
            )
        return math.coupling.default_mask(event_size, x.dtype)


def _check_mask_size(mask: Any, num_inputs: int | None) -> None:
    if not tf.TensorShape([last_axis(mask)]).is_compatible_with([num_inputs]):
        raise ValueError(
            f"`mask` must have shape [..., {num_inputs}], as `conditioner` "
            f"takes {num_inputs} coordinates; got {mask.shape}."
        )


def _check_mask(mask: Any) -> None:
    shape = tf.TensorShape(mask.shape)
    if shape.rank == 0 or (shape.rank and (shape[-1] or 2) < 2):
        raise ValueError(
            f"`mask` must have shape [..., D] with D >= 2; got {shape}."
        )
    values = static_value(mask)
    if values is None:
        return
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            "`mask` must hold zeros (moved) and ones (conditioning) alone; "
            f"got {values.tolist()}."
        )
    moved = values.shape[-1] - values.sum(axis=-1)
    if not ((moved > 0) & (moved < values.shape[-1])).all():
        raise ValueError(
            "`mask` must hold a zero and a one at least, so that something is "
            f"moved by something; got {values.tolist()}."
        )
