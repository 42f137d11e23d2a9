"""What the Sylvester flows share: `y = z + Q R1 tanh(R2 Q' z + b)`."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows._tfp import ps
from tfp_flows.bijectors.declared_tensors import DeclaredTensors

__all__ = ["Sylvester"]


class Sylvester(DeclaredTensors):
    """The core of the three: R1, R2 and b. A subclass says what Q is."""

    _tensors: ClassVar[Mapping[str, int]] = {"r1": 1, "r2": 1, "b": 1}
    _r1: Any
    _r2: Any
    _b: Any

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        triangle = tfp.util.ParameterProperties(
            event_ndims=1, shape_fn=_packed_shape
        )
        own = super()._parameter_properties(dtype)
        return {**own, "r1": triangle, "r2": triangle}

    def _check_tensors(self) -> None:
        _check_units(self._r1, self._r2, self._b)

    @property
    def r1(self) -> Any:
        """R1 before the tanh, packed, `[..., M (M + 1) / 2]`."""
        return self._r1

    @property
    def r2(self) -> Any:
        """R2 before the tanh, packed, `[..., M (M + 1) / 2]`."""
        return self._r2

    @property
    def b(self) -> Any:
        """Offsets of the units, `[..., M]`."""
        return self._b

    def _event_size(self) -> int | None:
        return self._b.shape[-1]

    @abc.abstractmethod
    def _q_parameters(self) -> tuple[tf.Tensor, ...]:
        """Tensors that Q is made of, for all members of a `Scan` at once."""

    @abc.abstractmethod
    def _project(
        self, x: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """`Q' x`, `[..., M]`."""

    @abc.abstractmethod
    def _embed(
        self, v: tf.Tensor, q_parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """`Q v`, `[..., D]`."""

    def _constrained_parameters(self) -> tuple[tf.Tensor, ...]:
        constrained = math.sylvester.constrain(
            tf.convert_to_tensor(self._r1),
            tf.convert_to_tensor(self._r2),
            tf.convert_to_tensor(self._b),
        )
        return *constrained, *self._q_parameters()

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        constrained, q_parameters = parameters[:5], parameters[5:]
        move, fldj = math.sylvester.forward(
            self._project(x, q_parameters), *constrained
        )
        return x + self._embed(move, q_parameters), fldj

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        constrained, q_parameters = parameters[:5], parameters[5:]
        move, ildj = math.sylvester.inverse(
            self._project(y, q_parameters), *constrained
        )
        return y - self._embed(move, q_parameters), ildj


def _packed_shape(sample_shape: Any) -> Any:
    """Shape of a packed triangle with a row for each coordinate."""
    shape = ps.convert_to_shape_tensor(sample_shape)
    packed_size = shape[-1:] * (shape[-1:] + 1) // 2
    return ps.concat([shape[:-1], packed_size], axis=0)


def _check_units(r1: Any, r2: Any, b: Any) -> None:
    """Raises ValueError unless the triangles and `b` are of one M >= 1."""
    num_units, others = _num_units("r1", r1), _num_units("r2", r2)
    if num_units != others:
        raise ValueError(
            "`r1` and `r2` must have triangles of one size M; got "
            f"M = {num_units} from {tf.TensorShape(r1.shape)} and "
            f"M = {others} from {tf.TensorShape(r2.shape)}."
        )
    shape = tf.TensorShape(b.shape)
    if not shape.rank or shape[-1] != num_units:
        raise ValueError(
            f"`b` must have shape [..., {num_units}], as `r1` has "
            f"{num_units} rows; got {shape}."
        )


def _num_units(name: str, packed: Any) -> int:
    shape = tf.TensorShape(packed.shape)
    size = shape[-1] if shape.rank else None
    num_units = None if size is None else math.sylvester.num_units(size)
    if num_units is None:
        raise ValueError(
            f"`{name}` must have shape [..., M (M + 1) / 2], a packed triangle "
            f"of known size M >= 1; got {shape}."
        )
    return num_units
