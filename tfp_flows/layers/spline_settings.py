"""What the flow layers of splines share: bins, bounds and circles."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_coordinates
from tfp_flows.bijectors import Permutation
from tfp_flows.bijectors.transformers import (
    CircularRationalQuadratic,
    RationalQuadratic,
)
from tfp_flows.layers import initializers
from tfp_flows.layers.conditioned_flow import ConditionedFlow
from tfp_flows.layers.parameter_head import ParameterSpec

__all__ = ["SplineSettings"]

tfb = tfp.bijectors

# The mixings that map circles to themselves.
_OF_CIRCLES = ("permutation", "reverse", "none")


class SplineSettings(ConditionedFlow):
    """Steps of splines behind a linear layer, or of circles.

    A spline is the identity outside of `[-tail_bound, tail_bound]`, so it
    cannot contract what is wider. By default a random permutation and a learned
    matrix `L U` (`tfp_flows.bijectors.LULinear`) stand before each step; behind
    the permutations the layer starts as the identity.

    Circular coordinates are points of `[-half_width, half_width)`, whose ends
    are one point: see `tfp_flows.bijectors.CircularSpline`. The base must lie
    on the circles too, uniform for a density without a seam; a Gaussian would
    be wrapped around them, and its density wrong. Every coordinate keeps its
    place, and the layer starts as the identity: `mixing` says in which order a
    step takes the coordinates, "permutation" in random ones, such that each
    coordinate is moved within three couplings, "reverse" in the reverse one in
    every other step.

    Args:
      num_bins: bins of each spline, at least 2. Default: 8.
      tail_bound: B, positive; outside of `[-B, B]` is the identity. Default: 3.
      circular: which coordinates are circular: False, True (all), or their
        indices. Default: False.
      half_width: half of the length of the circles, positive. Default: pi.
      mixing: as in `ConditionedFlow`. Default: None, the `DEFAULT_MIXING` or,
        with circular coordinates, which are permuted alone, "permutation".

    The other arguments are those of `ConditionedFlow`.

    Raises:
      ValueError: an argument breaks its rule.
    """

    SETTINGS = ("num_bins", "tail_bound", "half_width")

    def __init__(
        self,
        num_flow_steps: int,
        hidden_units: Sequence[int] = (64, 64),
        activation: str = "gelu",
        num_bins: int = 8,
        tail_bound: float = 3.0,
        circular: bool | Sequence[int] = False,
        half_width: float = math.pi,
        mixing: str | None = None,
        amortized: bool | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        circular = as_coordinates("circular", circular)
        of_circles = CircularRationalQuadratic(
            num_bins, half_width, tail_bound, circular or True
        )
        transformer: RationalQuadratic | CircularRationalQuadratic = of_circles
        if circular is False:
            transformer = RationalQuadratic(num_bins, tail_bound)
        else:
            mixing = self._mixing_of_circles(mixing)
        super().__init__(
            num_flow_steps,
            hidden_units,
            activation,
            mixing,
            amortized,
            seed,
            **kwargs,
        )
        self.num_bins = transformer.num_bins
        self.tail_bound = tail_bound
        self.circular = circular
        self.half_width = half_width
        self._num_parameters = transformer.num_parameters
        self._num_features = transformer.num_features

    def _mixing_of_circles(self, mixing: str | None) -> str:
        known = [name for name in _OF_CIRCLES if name in self.MIXINGS]
        mixing = mixing or "permutation"
        if mixing not in known:
            raise ValueError(
                f"`mixing` must be one of {', '.join(known)} with circular "
                "coordinates, as anything but a permutation tears circles "
                f"apart; got {mixing!r}."
            )
        return mixing

    def _parameter_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        if (
            isinstance(self.circular, tuple)
            and max(self.circular) >= event_size
        ):
            raise ValueError(
                "`circular` must hold indices of the coordinates, whose number "
                f"is {event_size}; got {self.circular}."
            )
        self._event_size = event_size
        return super()._parameter_specs(event_size)

    def _permutations(self) -> initializers.Initializer:
        if self.circular is False:
            return super()._permutations()
        return initializers.stacked_sweeps(self._seed(90))

    def _steps(self, **parameters: tf.Tensor) -> tfb.Bijector:
        if self.circular is False:
            return super()._steps(**parameters)
        order = parameters.pop("mixing", None)
        if self.mixing == "reverse":
            order = self._every_other_reversed(parameters)
        own: dict[str, Any] = {"circular": True}
        if isinstance(self.circular, tuple):
            own["circular_mask"] = self._circular_masks(order, parameters)
        maps = self._maps(parameters, **own)
        if order is None:
            return maps
        there = Permutation(order)
        return tfb.Chain([tfb.Invert(there), maps, there])

    def _every_other_reversed(
        self, parameters: Mapping[str, tf.Tensor]
    ) -> np.ndarray:
        """The order of the coordinates in each step, `[K, 1, ..., D]`."""
        order = np.arange(self._event_size)
        orders = [order[::-1], order] * self.num_flow_steps
        return np.reshape(
            orders[: self.num_flow_steps], self._shape_of_orders(parameters)
        )

    def _circular_masks(
        self,
        order: np.ndarray | tf.Tensor | None,
        parameters: Mapping[str, tf.Tensor],
    ) -> tf.Tensor:
        """Ones for the circular coordinates, in the order of each step."""
        mask = np.zeros([self._event_size])
        mask[list(self.circular)] = 1.0  # type: ignore[arg-type]
        if order is None:
            order = np.broadcast_to(
                np.arange(self._event_size), self._shape_of_orders(parameters)
            )
        dtype = parameters["kernel_0"].dtype
        return tf.gather(tf.constant(mask, dtype), order)

    def _shape_of_orders(
        self, parameters: Mapping[str, tf.Tensor]
    ) -> tuple[int, ...]:
        """`[K, 1, ..., D]`, with as many axes of a batch as the weights."""
        num_axes = parameters["kernel_0"].shape.rank - 3
        return (self.num_flow_steps, *[1] * num_axes, self._event_size)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {**super().get_config(), "circular": self.circular}
