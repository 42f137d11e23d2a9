"""A stack of Sylvester flows that owns its weights."""

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._arguments import as_positive_integer
from tfp_flows.bijectors import (
    SylvesterHouseholder,
    SylvesterOrthogonal,
    SylvesterTriangular,
)
from tfp_flows.layers.flow_layer import FlowLayer
from tfp_flows.layers.parameter_head import ParameterSpec

__all__ = ["SylvesterFlow"]

tfb = tfp.bijectors

KINDS = ("orthogonal", "householder", "triangular")


@keras.saving.register_keras_serializable(package="tfp_flows")
class SylvesterFlow(FlowLayer):
    """K Sylvester steps of one kind, the identity at initialisation.

        y = x + Q R1 tanh(R2 Q' x + b)

    See `SylvesterOrthogonal`, `SylvesterHouseholder` and `SylvesterTriangular`
    of `tfp_flows.bijectors` for the three kinds of Q. Initially `R1 = 0`, while
    Q, R2 and b are random and different from step to step; the triangular kind
    reverses the coordinates at every other step.

    Args:
      kind: of the matrix Q: "orthogonal", "householder" or "triangular".
      num_orthogonal_columns: M, of the kind "orthogonal", at most D; the others
        have M = D. Default: None, the smaller one of 8 and D.
      num_householder_reflections: H, of the kind "householder". Default: 4.

    The other arguments are those of `FlowLayer`.

    Raises:
      ValueError: an argument breaks its rule; at `build`, more columns than
        coordinates.

    References:
      [1]: Rianne van den Berg, Leonard Hasenclever, Jakub Tomczak, Max Welling.
           Sylvester Normalizing Flows for Variational Inference. UAI 2018.
           https://arxiv.org/abs/1803.05649
    """

    def __init__(
        self,
        num_flow_steps: int,
        kind: str = "orthogonal",
        num_orthogonal_columns: int | None = None,
        num_householder_reflections: int = 4,
        amortized: bool | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(
                f"`kind` must be one of {', '.join(KINDS)}; got {kind!r}."
            )
        super().__init__(
            num_flow_steps, amortized=amortized, seed=seed, **kwargs
        )
        self.kind = kind
        if num_orthogonal_columns is not None:
            num_orthogonal_columns = as_positive_integer(
                "num_orthogonal_columns", num_orthogonal_columns
            )
        self.num_orthogonal_columns = num_orthogonal_columns
        self.num_householder_reflections = as_positive_integer(
            "num_householder_reflections", num_householder_reflections
        )

    def _parameter_specs(self, event_size: int) -> dict[str, ParameterSpec]:
        size, num_vectors = self._sizes(event_size)
        zeros = keras.initializers.Zeros()
        triangle = (size * (size + 1) // 2,)
        scale = 1.0 / math.sqrt(size)
        specs = {
            "r1": ParameterSpec(triangle, zeros, zeros),
            "r2": ParameterSpec(
                triangle,
                self._normal(scale, 0),
                self._context_kernel(scale, 1),
            ),
            "b": ParameterSpec(
                (size,), self._normal(1.0, 2), self._context_kernel(1.0, 3)
            ),
        }
        if num_vectors:
            scale = 1.0 / math.sqrt(event_size)
            specs["vectors"] = ParameterSpec(
                (num_vectors, event_size),
                self._normal(scale, 4),
                self._context_kernel(scale, 5),
            )
        return specs

    def _sizes(self, event_size: int) -> tuple[int, int]:
        """M, and the number of the vectors that Q is made of."""
        if self.kind == "triangular":
            return event_size, 0
        if self.kind == "householder":
            return event_size, self.num_householder_reflections
        num_columns = self.num_orthogonal_columns or min(8, event_size)
        if num_columns > event_size:
            raise ValueError(
                "`num_orthogonal_columns` must be at most the number of "
                f"coordinates, {event_size}; got {num_columns}."
            )
        return num_columns, num_columns

    def _steps(self, **parameters: tf.Tensor) -> tfb.Bijector:
        if self.kind == "orthogonal":
            return SylvesterOrthogonal(**parameters)
        if self.kind == "householder":
            return SylvesterHouseholder(**parameters)
        axes = [1] * (parameters["b"].shape.rank - 2)
        is_reversed = tf.reshape(
            tf.range(self.num_flow_steps) % 2 == 1, [-1, *axes]
        )
        return SylvesterTriangular(**parameters, is_reversed=is_reversed)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return {
            **super().get_config(),
            "kind": self.kind,
            "num_orthogonal_columns": self.num_orthogonal_columns,
            "num_householder_reflections": self.num_householder_reflections,
        }
