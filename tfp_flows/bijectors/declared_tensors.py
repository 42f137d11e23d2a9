"""What bijectors share that are made of named tensors."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import ps
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.parameters import (
    check_batch_shapes,
    check_same_event_size,
    convert_parameters,
    last_axis,
)

__all__ = ["DeclaredTensors"]

# Shapes of tensors by their numbers of axes, for events of shape `[D]`. TFP
# names the argument.
_SHAPES: dict[int, Callable[[Any], Any]] = {
    0: lambda sample_shape: sample_shape[:-1],
    1: lambda sample_shape: sample_shape,
    2: lambda sample_shape: ps.concat(
        [sample_shape, sample_shape[-1:]], axis=0
    ),
}


class DeclaredTensors(FlowBijector):
    """A bijector of named tensors: the base class for one of your own.

    A subclass names its tensors in `_tensors`, with the number of axes that
    each has for one map (0, 1 for `[D]`, 2 for `[D, D]`), and writes

        _forward_and_log_det(self, x, parameters) -> (y, log|det dy/dx|)
        _inverse_and_log_det(self, y, parameters) -> (x, log|det dx/dy|)

    as functions of their arguments and of static settings alone. `parameters`
    are the tensors in their order, or what `_constrained` makes of them. Each
    may have a batch shape in front. The constructor takes the tensors,
    `validate_args` and `name`, and hands `dict(locals())` over. Tensors are
    kept as `_name`, checked and converted: see `FlowBijector` for what comes of
    it.
    """

    # How many axes each tensor has for one map: 0, 1 `[D]`, or 2 `[D, D]`.
    _tensors: ClassVar[Mapping[str, int]]

    def __init__(
        self,
        parameters: Mapping[str, Any],
        forward_min_event_ndims: int = 1,
        **kwargs: Any,
    ) -> None:
        """Converts and checks the tensors.

        Args:
          parameters: arguments of the subclass's constructor by name.
          forward_min_event_ndims: axes of an event.
          **kwargs: other arguments of the base class.
        """
        with tf.name_scope(parameters["name"]) as name:
            self._keep(parameters)
            first, *_ = self._kept().values()
            super().__init__(
                forward_min_event_ndims=forward_min_event_ndims,
                dtype=first.dtype,
                validate_args=parameters["validate_args"],
                parameters=parameters,
                name=name,
                **kwargs,
            )

    def _keep(self, parameters: Mapping[str, Any]) -> None:
        """Sets the attributes, of the constructor's arguments."""
        converted = convert_parameters(
            **{name: parameters[name] for name in self._tensors}
        )
        for name, tensor in converted.items():
            setattr(self, f"_{name}", tensor)
        self._check_tensors()
        properties = self._parameter_properties(None)
        check_batch_shapes(
            converted,
            {name: properties[name].event_ndims for name in converted},
        )

    def _check_tensors(self) -> None:
        """Raises unless the tensors, as they are kept, fit together."""
        check_same_event_size(**self._along_events())

    def _kept(self) -> dict[str, Any]:
        return {name: getattr(self, f"_{name}") for name in self._tensors}

    def _along_events(self) -> dict[str, Any]:
        """The tensors whose last axis is that of the coordinates."""
        return {n: t for n, t in self._kept().items() if self._tensors[n]}

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype  # The same for every dtype.
        return {
            name: tfp.util.ParameterProperties(
                event_ndims=ndims, shape_fn=_SHAPES[ndims]
            )
            for name, ndims in cls._tensors.items()
        }

    def _event_size(self) -> int | None:
        sizes = map(last_axis, self._along_events().values())
        return next(filter(None, sizes), None)

    def _constrained(self, *tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The parameters of the map, of the tensors in their order."""
        return tensors

    def _constrained_parameters(self) -> tuple[tf.Tensor, ...]:
        return self._constrained(
            *(tf.convert_to_tensor(tensor) for tensor in self._kept().values())
        )
