"""What the autoregressive bijectors share: one direction at once, one not."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfp_flows import math
from tfp_flows._tfp import ps
from tfp_flows.bijectors._conditioned import (
    ConditionedBijector,
    ConditionerLike,
    check_output_size,
)
from tfp_flows.bijectors.made_conditioner import MADEConditioner
from tfp_flows.types import TensorLike

__all__ = ["AutoregressiveBijector"]


class AutoregressiveBijector(ConditionedBijector):
    """A map `y_i = f(x_i; theta_i)` whose `theta_i` the x before i decide.

    A subclass has the scalar map f and its inverse. From x to y all coordinates
    are computed at once (`_parallel`), back one after the other
    (`_sequential`). The first is the forward direction, if the subclass says
    nothing else.
    """

    def __init__(
        self,
        conditioner: ConditionerLike,
        conditioner_parameters: Mapping[str, TensorLike] | None,
        context: TensorLike | None,
        **kwargs: Any,
    ) -> None:
        """See the subclasses."""
        if (
            isinstance(conditioner, MADEConditioner)
            and conditioner.num_outputs != self._num_outputs
        ):
            raise ValueError(
                "`conditioner.num_outputs` must be the number of parameters of "
                f"each coordinate of {type(self).__name__}, "
                f"{self._num_outputs}; got {conditioner.num_outputs}."
            )
        super().__init__(
            conditioner,
            conditioner_parameters,
            context,
            own_parameters={},
            **kwargs,
        )

    @property
    @abc.abstractmethod
    def _num_outputs(self) -> int:
        """P, the outputs of the conditioner for each coordinate."""

    @abc.abstractmethod
    def _scalar(
        self, x: tf.Tensor, theta: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`(y, log dy/dx)`, each `[..., N]`, for theta `[..., P, N]`."""

    @abc.abstractmethod
    def _scalar_inverse(self, y: tf.Tensor, theta: tf.Tensor) -> tf.Tensor:
        """What undoes `_scalar`, without gradients."""

    def _event_size(self) -> int | None:
        if isinstance(self._conditioner, MADEConditioner):
            return self._conditioner.event_size
        return None

    def _theta(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """The outputs of the conditioner, `[..., P, D]`."""
        if x.shape[-1] is None:
            raise ValueError(
                "`x` must have a number of coordinates that is known "
                f"statically; got shape {x.shape}."
            )
        _, conditioner = self._unpacked(parameters)
        output = conditioner(x)
        size = x.shape[-1]
        check_output_size(output, self._num_outputs * size)
        shape = [self._num_outputs, size]
        return tf.reshape(
            output, ps.concat([ps.shape(output)[:-1], shape], axis=0)
        )

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._parallel(x, parameters)

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return self._sequential(y, parameters)

    def _push_density_gradient(
        self,
        x: tf.Tensor,
        gradient: tf.Tensor,
        parameters: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return math.autoregressive.push_density_gradient(
            x, gradient, lambda x: self._theta(x, parameters), self._scalar
        )

    def _parallel(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`(y, log|det dy/dx|)`."""
        y, log_derivative = self._scalar(x, self._theta(x, parameters))
        log_derivative = tf.broadcast_to(log_derivative, ps.shape(y))
        return y, tf.reduce_sum(log_derivative, axis=-1)

    def _sequential(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`(x, log|det dx/dy|)`."""

        def theta(x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
            return self._theta(x, parameters)

        # The loop needs the shape of the result from the start.
        shape = ps.shape(self._theta(y, parameters))
        y = tf.broadcast_to(
            y,
            ps.concat(
                [ps.broadcast_shape(shape[:-2], ps.shape(y)[:-1]), shape[-1:]],
                axis=0,
            ),
        )
        x = math.autoregressive.invert(
            y,
            parameters,
            conditioner=theta,
            forward=self._scalar,
            inverse=self._scalar_inverse,
            sequence=self._sequence(y),
        )
        _, log_det = self._parallel(x, parameters)
        return x, -log_det

    def _sequence(self, y: tf.Tensor) -> Sequence[int]:
        if isinstance(self._conditioner, MADEConditioner):
            return self._conditioner.sequence
        if y.shape[-1] is None:
            raise ValueError(
                "`y` must have a number of coordinates that is known "
                f"statically; got shape {y.shape}."
            )
        return range(y.shape[-1])
