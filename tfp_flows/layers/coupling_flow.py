"""The base class of the flow layers whose steps are couplings."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import MaskedCoupling, MLPConditioner
from tfp_flows.layers.conditioned_flow import ConditionedFlow
from tfp_flows.math import masks

__all__ = ["CouplingFlow"]

tfb = tfp.bijectors


class CouplingFlow(ConditionedFlow):
    """K couplings, before each of which the coordinates are mixed.

    The arguments are those of `ConditionedFlow`. Of couplings under a mask the
    moved halves alternate; the others always move the last half, so that their
    `mixing` must not be "none".
    """

    MIXINGS: tuple[str, ...] = ("orthogonal", "permutation", "none")

    @property
    def conditioner(self) -> MLPConditioner:
        """The network of each step, without its weights."""
        return MLPConditioner(self.hidden_units, self.activation)

    def _conditioner_shapes(
        self, event_size: int
    ) -> Mapping[str, tuple[int, ...]]:
        if event_size < 2:
            raise ValueError(
                "`inputs_shape` must end in 2 or more, as a coupling splits "
                f"the coordinates; got {event_size}."
            )
        num_fixed, num_moved = event_size - event_size // 2, event_size // 2
        if self._is_masked:
            num_fixed = num_moved = event_size
        return self.conditioner.parameter_shapes(
            self._num_features * num_fixed, self._num_parameters * num_moved
        )

    @property
    def _is_masked(self) -> bool:
        return issubclass(self.BIJECTOR, MaskedCoupling)

    def _maps(
        self, conditioner_parameters: Mapping[str, tf.Tensor], **own: tf.Tensor
    ) -> tfb.Bijector:
        if self._is_masked:
            kernel = conditioner_parameters["kernel_0"]
            own["mask"] = self._alternating_masks(kernel)
        return super()._maps(conditioner_parameters, **own)

    def _alternating_masks(self, kernel_0: tf.Tensor) -> tf.Tensor:
        """Masks `[K, 1, ..., D]`: the second half moves first, then the other.

        `kernel_0` gives D, and the number of batch axes.
        """
        event_size = kernel_0.shape[-2]
        fixed = masks.first_half(event_size)
        all_masks = [fixed, ~fixed] * self.num_flow_steps
        axes = [self.num_flow_steps, *[1] * (kernel_0.shape.rank - 3)]
        return tf.constant(
            np.reshape(all_masks[: self.num_flow_steps], [*axes, event_size]),
            kernel_0.dtype,
        )
