"""Counts that live as long as an epoch or an evaluation, as Keras metrics."""

from typing import Any

import keras
import tensorflow as tf

__all__ = ["Count"]


class Count(keras.metrics.Metric):
    """A sum of integers, which Keras sets to zero when metrics are reset.

    Every replica adds the *global* number, so that each reads the global
    count.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        """Makes the counter.

        Args:
          name: of the metric.
          **kwargs: those of `keras.metrics.Metric`.
        """
        super().__init__(name=name, dtype="int64", **kwargs)
        self._total = self.add_variable(
            shape=(), initializer="zeros", dtype="int64", name="total"
        )

    def update_state(self, count: tf.Tensor) -> None:
        """Adds `count`."""
        self._total.assign_add(tf.cast(count, tf.int64))

    @property
    def value(self) -> tf.Tensor:
        """The sum, int64."""
        return tf.convert_to_tensor(self._total)

    def result(self) -> dict[str, tf.Tensor]:
        """Nothing that Keras would show in progress bars and logs."""
        return {}
