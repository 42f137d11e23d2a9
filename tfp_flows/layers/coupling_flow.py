"""The base class of the flow layers whose steps are couplings."""

import abc
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors import MLPConditioner
from tfp_flows.layers.conditioned_flow import ConditionedFlow
from tfp_flows.math import masks

__all__ = ["CouplingFlow"]


class CouplingFlow(ConditionedFlow):
    """K couplings, before each of which the coordinates are mixed.

    The arguments are those of `ConditionedFlow`.
    """

    MIXINGS: tuple[str, ...] = ("orthogonal", "permutation", "none")

    @property
    def conditioner(self) -> MLPConditioner:
        """The network of each step, without its weights."""
        return MLPConditioner(self.hidden_units, self.activation)

    @abc.abstractmethod
    def _conditioner_sizes(self, event_size: int) -> tuple[int, int]:
        """The sizes of the conditioner's inputs and outputs."""

    def _conditioner_shapes(
        self, event_size: int
    ) -> Mapping[str, tuple[int, ...]]:
        if event_size < 2:
            raise ValueError(
                "`inputs_shape` must end in 2 or more, as a coupling splits "
                f"the coordinates; got {event_size}."
            )
        sizes = self._conditioner_sizes(event_size)
        return self.conditioner.parameter_shapes(*sizes)

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
