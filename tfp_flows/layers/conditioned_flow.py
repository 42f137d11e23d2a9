"""The base class of the flow layers whose steps have a conditioner."""

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import (
    LULinear,
    MLPConditioner,
    Orthogonal,
    Permutation,
)
from tfp_flows.layers import initializers
from tfp_flows.layers.flow_layer import FlowLayer
from tfp_flows.layers.parameter_head import ParameterSpec

__all__ = ["ConditionedFlow"]

tfb = tfp.bijectors


class ConditionedFlow(FlowLayer):
    """K maps with a network each, before each of which coordinates are mixed.

    Each step has a conditioner of its own, a multilayer perceptron whose last
    layer starts at zero. *Amortized*, its first layer has a bias for every
    example, a linear function of the context: the context enters the network
    beside the coordinates, and all other weights are shared.

    A random mixing is drawn once, from the seed, and saved with the weights.
    """

    # What may stand before each step.
    MIXINGS: tuple[str, ...] = (
        "orthogonal",
        "permutation",
        "reverse",
        "lu",
        "none",
    )
    DEFAULT_MIXING = "permutation"
    # The layer's arguments that its `BIJECTOR` takes too.
    SETTINGS: tuple[str, ...] = ()
    # P, the parameters of each coordinate that is moved.
    _num_parameters: int
    # What the conditioners read of each coordinate.
    _num_features = 1

    def __init__(
        self,
        num_flow_steps: int,
        hidden_units: Sequence[int] = (64, 64),
        activation: str = "gelu",
        mixing: str | None = None,
        amortized: bool | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Constructs the layer.

        Args:
          num_flow_steps: K, the number of steps, at least 1.
          hidden_units: sizes of the hidden layers of each conditioner.
          activation: that of `MLPConditioner`. Default: "gelu".
          mixing: what stands before each step, one of the layer's `MIXINGS`:
            "orthogonal" (a random orthogonal matrix), "permutation" (a random
            one), "reverse" (of the order of the coordinates), "lu" (a random
            permutation and a learned matrix `L U`) or "none". Default: None,
            the layer's `DEFAULT_MIXING`.
          amortized: whether the conditioners depend on a context. Default:
            None, they do if the layer is built with one.
          seed: makes the initial weights and the mixing reproducible.
          **kwargs: `context_scale` and `inverted` of `FlowLayer`, and those
            of `keras.layers.Layer`.

        Raises:
          ValueError: an argument breaks its rule.
        """
        mixing = self.DEFAULT_MIXING if mixing is None else mixing
        if mixing not in self.MIXINGS:
            raise ValueError(
                f"`mixing` must be one of {', '.join(self.MIXINGS)}; got "
                f"{mixing!r}."
            )
        super().__init__(
            num_flow_steps, amortized=amortized, seed=seed, **kwargs
        )
        # Checks both arguments.
        network = MLPConditioner(tuple(hidden_units), activation)
        self.hidden_units = tuple(network.hidden_units)
        self.activation = network.activation
        self.mixing = mixing

    @property
    @abc.abstractmethod
    def BIJECTOR(self) -> type[tfb.Bijector]:
        """The class of the steps, that of a conditioner and its parameters."""

    @abc.abstractmethod
    def _conditioner_shapes(
        self, event_size: int
    ) -> Mapping[str, tuple[int, ...]]:
        """The shapes of the parameters of one conditioner, by name."""

    def _default_context_scale(self) -> float:
        return 1.0  # the context enters the networks, not their outputs

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.SETTINGS}

    def _maps(
        self, conditioner_parameters: Mapping[str, tf.Tensor], **own: tf.Tensor
    ) -> tfb.Bijector:
        """All the steps without the mixing, of batch shape `[K, ...]`."""
        return self.BIJECTOR(
            self.conditioner, conditioner_parameters, **self._settings(), **own
        )

    def _own_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        """Parameters of a step beside those of its conditioner."""
        del event_size
        return {}

    def _parameter_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        specs = self._conditioner_specs(self._conditioner_shapes(event_size))
        self._conditioner_names = tuple(specs)
        specs |= self._own_specs(event_size)
        if self.mixing == "orthogonal":
            specs["mixing"] = ParameterSpec(
                (event_size, event_size),
                initializers.stacked_orthogonal(self._seed(90)),
                trainable=False,
            )
        if self.mixing in ("permutation", "lu"):
            specs["mixing"] = ParameterSpec(
                (event_size,),
                self._permutations(),
                trainable=False,
                dtype="int32",
            )
        if self.mixing == "lu":
            specs["lower_upper"] = ParameterSpec(
                (event_size, event_size), keras.initializers.Zeros()
            )
        return specs

    def _permutations(self) -> initializers.Initializer:
        """The initial, and last, values of a random permutation."""
        return initializers.stacked_permutation(self._seed(90))

    def _conditioner_specs(
        self, shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, ParameterSpec]:
        zeros = keras.initializers.Zeros()
        last = len(self.hidden_units)
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
            name: parameters.pop(name) for name in self._conditioner_names
        }
        mixing = parameters.pop("mixing", None)
        lower_upper = parameters.pop("lower_upper", None)
        parts = [self._maps(conditioner_parameters, **parameters)]
        # Chain applies the last of its list first.
        if lower_upper is not None:
            parts.append(LULinear(lower_upper))
        if self.mixing == "reverse":
            parts.append(self._reversal(conditioner_parameters))
        elif mixing is not None:
            if self.mixing == "orthogonal":
                parts.append(Orthogonal(_orthonormalized(mixing)))
            else:
                parts.append(Permutation(mixing))
        return parts[0] if len(parts) == 1 else tfb.Chain(parts)

    def _reversal(self, parameters: Mapping[str, tf.Tensor]) -> Permutation:
        kernel = parameters["kernel_0"]
        backwards = np.arange(kernel.shape[-2])[::-1]
        axes = [self.num_flow_steps, *[1] * (kernel.shape.rank - 3)]
        return Permutation(np.broadcast_to(backwards, [*axes, len(backwards)]))

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "activation": self.activation,
            "mixing": self.mixing,
            **self._settings(),
        }


def _orthonormalized(matrix: tf.Tensor) -> tf.Tensor:
    """In float64, the orthogonal matrix next to one rounded to float32.

    A matrix that was saved in float32 is orthogonal to eps alone, by which the
    log-det would not be 0, nor the transpose the inverse. One step of Newton's
    iteration for the polar factor squares this error.
    """
    if matrix.dtype != tf.float64:
        return matrix
    gram = tf.matmul(matrix, matrix, transpose_a=True)
    return 1.5 * matrix - 0.5 * tf.matmul(matrix, gram)
