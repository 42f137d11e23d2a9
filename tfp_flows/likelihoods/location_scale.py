"""Scalar distributions with a location and a scale."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["MIN_SCALE", "LocationScale", "loc_and_scale"]

tfb, tfd = tfp.bijectors, tfp.distributions

# On data that do not vary (a black margin) the likelihood of a continuous
# family grows without limit as the scale falls; this is where it stops. It
# keeps densities and gradients within the range of float32.
MIN_SCALE = 1e-4


def loc_and_scale(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits the last axis in halves: loc, and the scale before softplus.

    `scale = MIN_SCALE + softplus(unconstrained_scale)`.

    Args:
      outputs: `[..., 2 * C]`.

    Returns:
      loc and scale, each `[..., C]`.
    """
    loc, unconstrained_scale = tf.split(outputs, 2, axis=-1)
    return loc, MIN_SCALE + tf.math.softplus(unconstrained_scale)


class LocationScale(tfd.Distribution):
    """Base of scalar distributions with the parameters `loc` and `scale`."""

    def __init__(
        self,
        loc: tf.Tensor,
        scale: tf.Tensor,
        reparameterization_type: tfd.ReparameterizationType,
        parameters: dict[str, Any],
    ) -> None:
        """Constructs the distribution.

        Args:
          loc: `[...]`.
          scale: positive, `[...]`.
          reparameterization_type: whether samples have gradients.
          parameters: all arguments of the subclass.
        """
        with tf.name_scope(parameters["name"]) as name:
            self._loc = tf.convert_to_tensor(loc, name="loc")
            self._scale = tf.convert_to_tensor(
                scale, dtype=self._loc.dtype, name="scale"
            )
            super().__init__(
                dtype=self._loc.dtype,
                reparameterization_type=reparameterization_type,
                validate_args=parameters["validate_args"],
                allow_nan_stats=parameters["allow_nan_stats"],
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType | None, num_classes: int | None = None
    ) -> dict[str, Any]:
        return {
            "loc": tfp.util.ParameterProperties(),
            "scale": tfp.util.ParameterProperties(
                default_constraining_bijector_fn=tfb.Softplus
            ),
        }

    @property
    def loc(self) -> tf.Tensor:
        """The location."""
        return self._loc

    @property
    def scale(self) -> tf.Tensor:
        """The scale."""
        return self._scale

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)
