"""The base class of the bijectors: value and log-det in one pass."""

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import _points as points
from tfp_flows.bijectors._fresh_cache import FreshCache
from tfp_flows.bijectors._through_inverse import push_through_inverse

__all__ = ["FlowBijector", "OnePassBijector"]

tfb = tfp.bijectors


class OnePassBijector(tfb.Bijector):
    """A bijector that is given by two functions.

    A subclass constrains its parameters once (`_constrained_parameters`), and
    maps a point with them in both directions, value and log-det together.
    `Scan` hands over the constrained parameters of one member at a time, so
    that constraints are computed for all members at once.
    """

    _cache = FreshCache(
        forward_name="_augmented_forward", inverse_name="_augmented_inverse"
    )
    # Whether it may read variables that it does not know.
    _is_opaque = False

    @abc.abstractmethod
    def _constrained_parameters(self) -> tuple[tf.Tensor, ...]:
        """Tensors with the bijector's batch shape in front."""

    @abc.abstractmethod
    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`(y, fldj)`; a function of its arguments and of static settings."""

    @abc.abstractmethod
    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`(x, ildj)`; a function of its arguments and of static settings."""

    def _push_density_gradient(
        self,
        x: tf.Tensor,
        gradient: tf.Tensor,
        parameters: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`(y, gradient of log q(y))`, see `density_gradients.push`."""
        return push_through_inverse(
            lambda x: self._forward_and_log_det(x, parameters)[0],
            lambda y: self._inverse_and_log_det(y, parameters),
            x,
            gradient,
        )

    @abc.abstractmethod
    def _event_size(self) -> int | None:
        """D, the size of the last axis, where it is known statically."""

    def _event_shape(self) -> tf.TensorShape:
        """The shape of an event, `[D]` or of more axes, where it is known."""
        return tf.TensorShape([self._event_size()])

    def _augmented_forward(
        self, x: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        parameters = self._constrained_parameters()
        y, fldj = self._mapped("x", x, self._forward_and_log_det, parameters)
        return y, {"fldj": fldj, "ildj": -fldj, "parameters": parameters}

    def _augmented_inverse(
        self, y: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        parameters = self._constrained_parameters()
        x, ildj = self._mapped("y", y, self._inverse_and_log_det, parameters)
        return x, {"fldj": -ildj, "ildj": ildj, "parameters": parameters}

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        return self._augmented_forward(x)[0]

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        return self._augmented_inverse(y)[0]

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return self._cache.forward_attributes(x)["fldj"]

    def _inverse_log_det_jacobian(self, y: tf.Tensor) -> tf.Tensor:
        return self._cache.inverse_attributes(y)["ildj"]

    def _mapped(
        self,
        name: str,
        point: tf.Tensor,
        function: points.Map,
        parameters: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`function` of the point, as known as it can be, and parameters."""

        def at_known_rank(point: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            point = self._with_event_shape(name, point)
            return function(point, parameters)

        if tf.TensorShape(point.shape).rank is not None:
            return at_known_rank(point)
        event_ndims = int(self.forward_min_event_ndims)
        batch_shape = self.experimental_batch_shape_tensor(event_ndims)
        return points.map_of_unknown_rank(
            name, at_known_rank, point, batch_shape, event_ndims
        )

    def _with_event_shape(self, name: str, point: tf.Tensor) -> tf.Tensor:
        """The point, its static shape completed; ValueError if it is wrong."""
        return points.with_event_shape(
            name, point, self._event_shape(), type(self).__name__
        )

    # TFP computes with the shape of a point before it asks for a log-det.
    def _call_forward_log_det_jacobian(
        self, x: Any, event_ndims: Any, name: str, **kwargs: Any
    ) -> tf.Tensor:
        x = tf.convert_to_tensor(x, dtype_hint=self.dtype, name="x")
        self._with_event_shape("x", x)
        return super()._call_forward_log_det_jacobian(
            x, event_ndims, name, **kwargs
        )

    def _call_inverse_log_det_jacobian(
        self, y: Any, event_ndims: Any, name: str, **kwargs: Any
    ) -> tf.Tensor:
        y = tf.convert_to_tensor(y, dtype_hint=self.dtype, name="y")
        self._with_event_shape("y", y)
        return super()._call_inverse_log_det_jacobian(
            y, event_ndims, name, **kwargs
        )


class FlowBijector(OnePassBijector, tfb.AutoCompositeTensorBijector):
    """A `OnePassBijector` that holds nothing but tensors and settings.

    It is a composite tensor: it passes in and out of `tf.function`.
    """
