"""What bijectors share whose map of a coordinate has its own parameters."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import ps
from tfp_flows.bijectors._declared_tensors import DeclaredTensors

__all__ = ["CoordinatewiseBijector"]


class CoordinatewiseBijector(DeclaredTensors):
    """An increasing map of each coordinate, with parameters `[..., D, n]`.

    A subclass defines `_constrained` and the maps of coordinates.
    """

    # Here, n of each parameter where only the shape of an event is known.
    _tensors: ClassVar[Mapping[str, int]]

    @abc.abstractmethod
    def _constrained(self, *parameters: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The parameters of the map, of those given, `[..., n, D]`."""

    @abc.abstractmethod
    def _map(
        self, direction: str, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Image and log slope of each coordinate, "forward" or "inverse"."""

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype  # The same for every dtype.

        def properties(size: int) -> tfp.util.ParameterProperties:
            return tfp.util.ParameterProperties(
                event_ndims=2,
                shape_fn=lambda sample_shape: ps.concat(
                    [sample_shape, [size]], axis=0
                ),
            )

        return {name: properties(size) for name, size in cls._tensors.items()}

    def _event_size(self) -> int | None:
        for parameter in self._kept().values():
            shape = tf.TensorShape(parameter.shape)
            if shape.rank is not None and shape[-2] is not None:
                return shape[-2]
        return None

    def _constrained_parameters(self) -> tuple[tf.Tensor, ...]:
        return self._constrained(
            *(
                tf.linalg.matrix_transpose(tf.convert_to_tensor(parameter))
                for parameter in self._kept().values()
            )
        )

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        y, log_slope = self._map("forward", x, parameters)
        return y, tf.reduce_sum(log_slope, axis=-1)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, log_slope = self._map("inverse", y, parameters)
        return x, tf.reduce_sum(log_slope, axis=-1)
