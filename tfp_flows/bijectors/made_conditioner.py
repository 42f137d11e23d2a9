"""The masked network of autoregressive maps."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows._arguments import as_order, as_positive_integer
from tfp_flows.bijectors.conditioners import Conditioner, MLPConditioner

__all__ = ["MADEConditioner"]


@dataclasses.dataclass(frozen=True)
class MADEConditioner(Conditioner):
    """MADE: a multilayer perceptron whose outputs see what is before them.

    Output i of each of P blocks of D outputs is a function of the coordinates
    j with `order_j < order_i`, and of the context; see
    `math.masks.autoregressive_masks` for the masks. The context enters the
    first hidden layer without a mask, as in `MLPConditioner`. The first
    coordinate of the order depends on no other.

    Attributes:
      event_size: D, the number of coordinates.
      num_outputs: P, outputs for each coordinate: 1 of a Bernoulli's logits,
        2 of an affine map.
      hidden_units: sizes of the hidden layers, at least D each, so that every
        coordinate can be seen by all that come behind it.
      activation: elu, gelu, relu, silu or tanh.
      context_size: C, or 0 without a context.
      order: the place of each coordinate, 0, ..., D - 1. Default: None, from
        the first to the last.
      num_inputs: numbers that stand for each coordinate, in blocks of D: 1, or
        2 where circular ones are read as cosine and sine.

    References:
      [1]: Mathieu Germain, Karol Gregor, Iain Murray, Hugo Larochelle. MADE:
           Masked Autoencoder for Distribution Estimation. ICML 2015.
           https://arxiv.org/abs/1502.03509, eq. 12-14. Deviations: degrees are
           taken in turn, not drawn; units that see no input are kept, for the
           context; no direct connections from inputs to outputs.
    """

    event_size: int
    num_outputs: int = 1
    hidden_units: Sequence[int] = (64, 64)
    activation: str = "gelu"
    context_size: int = 0
    order: Sequence[int] | None = None
    num_inputs: int = 1

    def __post_init__(self) -> None:
        for name in ("event_size", "num_outputs", "num_inputs"):
            value = as_positive_integer(name, getattr(self, name))
            object.__setattr__(self, name, value)
        network = self._network
        if any(units < self.event_size for units in network.hidden_units):
            raise ValueError(
                "`hidden_units` must hold sizes of at least `event_size`, "
                f"{self.event_size}, or some coordinates would see too little "
                f"of those before them; got {tuple(network.hidden_units)}."
            )
        order = as_order("order", self.order, self.event_size)
        object.__setattr__(self, "hidden_units", network.hidden_units)
        object.__setattr__(self, "context_size", network.context_size)
        object.__setattr__(self, "order", order)

    @property
    def _network(self) -> MLPConditioner:
        return MLPConditioner(
            tuple(self.hidden_units), self.activation, self.context_size
        )

    @property
    def sequence(self) -> tuple[int, ...]:
        """The coordinates by their place, the first one first."""
        order = self.order or ()
        return tuple(sorted(range(self.event_size), key=order.__getitem__))

    @property
    def event_ndims(self) -> Mapping[str, int]:
        """2 for kernels, 1 for biases."""
        return self._network.event_ndims

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters of one map, by name."""
        return self._network.parameter_shapes(*self.static_sizes({}))

    def static_sizes(self, parameters: Mapping[str, Any]) -> tuple[int, int]:
        """D, or a multiple of it, and P D."""
        del parameters
        return (
            self.num_inputs * self.event_size,
            self.num_outputs * self.event_size,
        )

    def constrain(
        self, parameters: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """The parameters with masked kernels."""
        masks = math.masks.autoregressive_masks(
            tuple(self.order or ()),
            tuple(self.hidden_units),
            self.num_outputs,
            self.num_inputs,
        )
        masked = dict(parameters)
        for i, mask in enumerate(masks):
            kernel = parameters[f"kernel_{i}"]
            if not kernel.shape[-2:].is_compatible_with(mask.shape):
                raise ValueError(
                    f"`kernel_{i}` must have shape [..., {mask.shape[0]}, "
                    f"{mask.shape[1]}]; got {kernel.shape}."
                )
            masked[f"kernel_{i}"] = kernel * tf.constant(mask, kernel.dtype)
        return masked

    def constrained_call(
        self,
        x: tf.Tensor,
        parameters: Mapping[str, tf.Tensor],
        context: tf.Tensor | None,
    ) -> tf.Tensor:
        """The network, of kernels that are masked."""
        size = self.num_inputs * self.event_size
        if x.shape.rank is not None and x.shape[-1] not in (size, None):
            raise ValueError(
                f"`x` must have shape [..., {size}]; got {x.shape}."
            )
        return self._network(x, parameters, context)

    def __call__(
        self,
        x: tf.Tensor,
        parameters: Mapping[str, tf.Tensor],
        context: tf.Tensor | None,
    ) -> tf.Tensor:
        """The outputs `[..., P D]` for inputs `[..., D]`."""
        return self.constrained_call(x, self.constrain(parameters), context)
