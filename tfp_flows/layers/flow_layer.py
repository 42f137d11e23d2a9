"""The protocol of a flow layer: it owns weights and returns a bijector."""

import abc
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Scan

__all__ = ["FlowLayer"]

tfb = tfp.bijectors


class FlowLayer(keras.layers.Layer, abc.ABC):
    """A flow of `num_flow_steps` equal steps whose parameters are weights.

    A subclass names its parameters, their shapes and their initializers, and
    makes one bijector with batch shape `[num_flow_steps]` of them, which is
    rolled by `Scan`. The layer owns the weights; the bijector is made anew,
    from tensors, at every use.
    """

    def __init__(
        self, num_flow_steps: int, seed: int | None = None, **kwargs: Any
    ) -> None:
        """Constructs the layer.

        Args:
          num_flow_steps: K, the number of steps, at least 1.
          seed: makes the initial weights reproducible. Default: None.
          **kwargs: those of `keras.layers.Layer`.

        Raises:
          ValueError: `num_flow_steps` is not a positive integer.
        """
        if not isinstance(num_flow_steps, int) or num_flow_steps < 1:
            raise ValueError(
                "`num_flow_steps` must be an integer >= 1; got "
                f"{num_flow_steps!r}."
            )
        super().__init__(**kwargs)
        self.num_flow_steps = num_flow_steps
        self.seed = seed
        self._flow_weights: dict[str, keras.Variable] = {}

    @abc.abstractmethod
    def _parameters(
        self, event_size: int
    ) -> dict[str, tuple[tuple[int, ...], keras.initializers.Initializer]]:
        """Event shape and initializer of each parameter of one step."""

    @abc.abstractmethod
    def _steps(self, **parameters: tf.Tensor) -> tfb.Bijector:
        """All the steps, as one bijector with batch shape `[K]`."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for events of size `input_shape[-1]`.

        Raises:
          ValueError: that size is not known.
        """
        event_size = input_shape[-1]
        if event_size is None:
            raise ValueError(
                "`input_shape` must end in a known event size D; got "
                f"{tuple(input_shape)}."
            )
        parameters = self._parameters(event_size)
        for name, (shape, initializer) in parameters.items():
            self._flow_weights[name] = self.add_weight(
                name=name,
                shape=(self.num_flow_steps, *shape),
                initializer=initializer,
            )
        self.built = True

    def bijector(self) -> tfb.Bijector:
        """The flow with the weights as they are now; differentiable.

        Raises:
          ValueError: the layer is not built.
        """
        if not self.built:
            raise ValueError(
                f"`{self.name}` must be built before its bijector is used; "
                "call it once, or `build((None, D))`."
            )
        return Scan(
            self._steps(
                **{
                    name: tf.convert_to_tensor(weight)
                    for name, weight in self._flow_weights.items()
                }
            )
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`bijector().forward(inputs)`; `[..., D]`."""
        return self.bijector().forward(inputs)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """The shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "num_flow_steps": self.num_flow_steps,
            "seed": self.seed,
        }

    def _initializer_seed(self, offset: int) -> int | None:
        """Other parameters draw other numbers."""
        return None if self.seed is None else self.seed + offset
