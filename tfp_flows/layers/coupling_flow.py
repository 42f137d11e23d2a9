"""The base class of the flow layers whose steps are couplings."""

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import MLPConditioner, Orthogonal, Permutation
from tfp_flows.layers import initializers
from tfp_flows.layers.flow_layer import FlowLayer
from tfp_flows.layers.parameter_head import ParameterSpec

__all__ = ["CouplingFlow"]

tfb = tfp.bijectors


class CouplingFlow(FlowLayer):
    """K couplings, before each of which the coordinates are mixed.

    Each step has a conditioner of its own, a multilayer perceptron whose last
    layer starts at zero. *Amortized*, its first layer has a bias for every
    example, a linear function of the context: the context enters the network
    beside the coordinates, and all other weights are shared.

    The mixing is fixed: drawn once, from the seed, saved with the weights.
    """

    MIXINGS: tuple[str, ...] = ("orthogonal", "permutation", "none")

    def __init__(
        self,
        num_flow_steps: int,
        hidden_units: Sequence[int] = (64, 64),
        activation: str = "gelu",
        mixing: str = "permutation",
        amortized: bool | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          num_flow_steps: K, the number of couplings, at least 1.
          hidden_units: sizes of the hidden layers of each conditioner.
          activation: that of `MLPConditioner`. Default: "gelu".
          mixing: what stands before each coupling: "orthogonal" (a random
            orthogonal matrix), "permutation" (a random one), or "none".
          amortized: whether the conditioners depend on a context. Default:
            None, they do if the layer is built with one.
          seed: makes the initial weights and the mixing reproducible.
          **kwargs: `context_scale` of `FlowLayer`, and those of
            `keras.layers.Layer`.

        Raises:
          ValueError: an argument breaks its rule.
        """
        if mixing not in self.MIXINGS:
            raise ValueError(
                f"`mixing` must be one of {', '.join(self.MIXINGS)}; got "
                f"{mixing!r}."
            )
        super().__init__(
            num_flow_steps, amortized=amortized, seed=seed, **kwargs
        )
        self.conditioner = MLPConditioner(tuple(hidden_units), activation)
        self.mixing = mixing

    @abc.abstractmethod
    def _conditioner_sizes(self, event_size: int) -> tuple[int, int]:
        """The sizes of the conditioner's inputs and outputs."""

    @abc.abstractmethod
    def _couplings(
        self,
        conditioner_parameters: Mapping[str, tf.Tensor],
        **own: tf.Tensor,
    ) -> tfb.Bijector:
        """All the couplings, as one bijector with batch shape `[K, ...]`."""

    def _own_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        """Parameters of a coupling beside those of its conditioner."""
        del event_size
        return {}

    def _parameter_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        if event_size < 2:
            raise ValueError(
                "`inputs_shape` must end in 2 or more, as a coupling splits "
                f"the coordinates; got {event_size}."
            )
        specs = self._conditioner_specs(*self._conditioner_sizes(event_size))
        specs |= self._own_specs(event_size)
        if self.mixing == "orthogonal":
            specs["mixing"] = ParameterSpec(
                (event_size, event_size),
                initializers.stacked_orthogonal(self._seed(90)),
                trainable=False,
            )
        if self.mixing == "permutation":
            specs["mixing"] = ParameterSpec(
                (event_size,),
                initializers.stacked_permutation(self._seed(90)),
                trainable=False,
                dtype="int32",
            )
        return specs

    def _conditioner_specs(
        self, input_size: int, output_size: int
    ) -> dict[str, ParameterSpec]:
        zeros = keras.initializers.Zeros()
        shapes = self.conditioner.parameter_shapes(input_size, output_size)
        last = len(self.conditioner.hidden_units)
        specs = {}
        for offset, (name, shape) in enumerate(shapes.items()):
            is_kernel, is_last = len(shape) == 2, name.endswith(f"_{last}")
            initial = zeros
            if is_kernel and not is_last:
                initial = self._normal(1.0 / math.sqrt(shape[0]), 2 * offset)
            context = None
            if name == "bias_0":
                # Zero if it is the last one too: the identity at the start.
                context = (
                    zeros
                    if is_last
                    else self._context_kernel(10.0, 2 * offset + 1)
                )
            specs[name] = ParameterSpec(shape, initial, context)
        return specs

    def _steps(self, **parameters: tf.Tensor) -> tfb.Bijector:
        conditioner_parameters = {
            name: parameters.pop(name) for name in self.conditioner.event_ndims
        }
        mixing = parameters.pop("mixing", None)
        couplings = self._couplings(conditioner_parameters, **parameters)
        if mixing is None:
            return couplings
        mix = Orthogonal if self.mixing == "orthogonal" else Permutation
        # Chain applies the last of its list first.
        return tfb.Chain([couplings, mix(mixing)])

    def _alternating_masks(self, kernel_0: tf.Tensor) -> tf.Tensor:
        """Masks `[K, 1, ..., D]`: the second half moves first, then the other.

        `kernel_0` gives D, and the number of batch axes.
        """
        event_size = kernel_0.shape[-2]
        fixed = np.arange(event_size) < event_size - event_size // 2
        masks = [fixed, ~fixed] * self.num_flow_steps
        axes = [self.num_flow_steps, *[1] * (kernel_0.shape.rank - 3)]
        return tf.constant(
            np.reshape(masks[: self.num_flow_steps], [*axes, event_size]),
            kernel_0.dtype,
        )

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "hidden_units": self.conditioner.hidden_units,
            "activation": self.conditioner.activation,
            "mixing": self.mixing,
        }
