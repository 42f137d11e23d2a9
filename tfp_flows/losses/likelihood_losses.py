"""Keras losses: minus the log-likelihood of an example, summed over it."""

import math
from collections.abc import Callable
from typing import Any, Self

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import likelihoods

__all__ = ["NegativeLogLikelihood"]

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="tfp_flows")
class NegativeLogLikelihood(keras.losses.Loss):
    """`-log p(x|z)` in nats, summed over all axes of an event.

    Keras's own losses take the mean over the last axis, so that the KL term of
    a variational model would weigh as much as one element; here the sum of
    the loss and of the KL is minus the ELBO. The default reduction is the mean
    over the batch.

    #### Example

    ```python
    import tensorflow as tf
    import tfp_flows

    loss = tfp_flows.losses.NegativeLogLikelihood("bernoulli")
    images = tf.zeros([32, 28, 28])
    logits = tf.zeros([32, 784])
    loss(images, logits)  # 784 * log(2)
    ```
    """

    def __init__(
        self,
        likelihood: str | Callable[[Any], tfd.Distribution] = "bernoulli",
        name: str = "negative_log_likelihood",
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        """Constructs the loss.

        Args:
          likelihood: what `tfp_flows.likelihoods.get` takes. Default:
            "bernoulli", on logits.
          name: as in Keras.
          reduction: as in Keras. Default: the mean over the batch.
          dtype: as in Keras.

        Raises:
          ValueError: the likelihood is unknown.
        """
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.likelihood = likelihoods.get(likelihood)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Minus the log-likelihood of each example.

        Args:
          y_true: data, `[B, ...]`, reshaped to the event's shape if it has the
            same number of elements.
          y_pred: what the likelihood takes, `[B, ...]`.

        Returns:
          A tensor `[B]`.

        Raises:
          ValueError: `y_true` and `y_pred` do not fit.
        """
        y_true = tf.convert_to_tensor(y_true)
        is_named = self.likelihood.num_parameters is not None
        event_ndims = len((y_pred if is_named else y_true).shape) - 1
        if event_ndims < 1:
            raise ValueError(
                f"`{'y_pred' if is_named else 'y_true'}` must have the shape "
                "[B, ...]; got rank 1 or less."
            )
        distribution = self.likelihood.distribution(y_pred, event_ndims)
        x = _reshape(y_true, distribution.event_shape)
        return -distribution.log_prob(tf.cast(x, distribution.dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        identifier = self.likelihood.identifier
        if not isinstance(identifier, str):
            identifier = keras.saving.serialize_keras_object(identifier)
        return {
            **super().get_config(),
            "likelihood": identifier,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss of a configuration that `get_config` returned."""
        config = dict(config)
        if not isinstance(config["likelihood"], str):
            config["likelihood"] = keras.saving.deserialize_keras_object(
                config["likelihood"]
            )
        return cls(**config)


def _reshape(y_true: tf.Tensor, event_shape: tf.TensorShape) -> tf.Tensor:
    """Gives the examples the event's shape."""
    given = y_true.shape[1:]
    if not (given.is_fully_defined() and event_shape.is_fully_defined()):
        return y_true
    if math.prod(given) != math.prod(event_shape):
        raise ValueError(
            "`y_true` must have as many elements per example as an event of "
            f"the likelihood, whose shape is {event_shape}; got shape "
            f"{y_true.shape}."
        )
    return tf.reshape(y_true, [-1, *event_shape])
