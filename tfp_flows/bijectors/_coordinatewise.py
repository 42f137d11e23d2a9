"""What bijectors share whose map of a coordinate has its own parameters."""

import abc
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import ps
from tfp_flows.bijectors.declared_tensors import DeclaredTensors

__all__ = ["DEFAULT_NUM_BINS", "CoordinatewiseBijector", "check_bins"]

# K of a spline where only the shape of an event is known.
DEFAULT_NUM_BINS = 8


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


def check_bins(tensors: Mapping[str, Any], fewer: Collection[str] = ()) -> None:
    """Raises unless the shapes are `[..., D, K]`, of those `fewer` K - 1."""
    sizes = {}
    for name, value in tensors.items():
        shape = tf.TensorShape(value.shape)
        if shape.rank is None:
            continue
        missing = int(name in fewer)
        if (
            shape.rank < 2
            or shape[-2] == 0
            or (shape[-1] is not None and shape[-1] < 2 - missing)
        ):
            letter = "K - 1" if missing else "K"
            raise ValueError(
                f"`{name}` must have shape [..., D, {letter}] with D >= 1 and "
                f"K >= 2 bins; got {shape}."
            )
        bins = None if shape[-1] is None else shape[-1] + missing
        sizes[name] = tf.TensorShape([shape[-2], bins])
    first = next(iter(sizes.values()), None)
    if not all(size.is_compatible_with(first) for size in sizes.values()):
        *names, last = (f"`{name}`" for name in tensors)
        *shapes, end = (
            f"[..., D, {'K - 1' if name in fewer else 'K'}]" for name in tensors
        )
        got = ", ".join(f"{name}: {tensors[name].shape}" for name in sizes)
        raise ValueError(
            f"{', '.join(names)} and {last} must have shapes "
            f"{', '.join(shapes)} and {end}; got {got}."
        )
