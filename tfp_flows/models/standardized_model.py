"""A model that standardises its data, and makes features of contexts."""

import inspect
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.layers.moments import Moments
from tfp_flows.layers.standardization import Standardization
from tfp_flows.math import noise
from tfp_flows.models import dlgm_parts
from tfp_flows.models.conditional_data import ConditionalDataModel
from tfp_flows.models.inputs import examples
from tfp_flows.models.maximum_likelihood import NoiseKey

__all__ = ["StandardizedModel"]


class StandardizedModel(ConditionalDataModel):
    """Means and scales are those of the first data that `fit` or `adapt` sees.

    An encoder makes features of standardised contexts. A subclass sets the
    attributes below, and says what is standardised of `x`.
    """

    context_noise_scale: float  # of noise on contexts in training
    seed: int
    standardize: bool
    _standardization: Standardization

    # Contexts.

    def _build_context(self) -> tuple[int | None, ...] | None:
        """Builds what turns contexts into features; their shape."""
        if self.context_shape is None:
            return None
        size = math.prod(self.context_shape)
        self._context_standardization = Standardization(
            dtype=self.variable_dtype, name="context_standardization"
        )
        self._context_standardization.build((None, size))
        if self.encoder is None:
            return (None, size)
        contexts = keras.KerasTensor(
            (None, *self.context_shape), dtype=self.variable_dtype
        )
        return (
            None,
            dlgm_parts.context_size(self.encoder(contexts), contexts),
        )

    def _normal(
        self, rows: tf.Tensor, size: int, key: NoiseKey, what: str
    ) -> tf.Tensor:
        return noise.normal_rows(
            rows,
            (size,),
            first_row=key.first_row,
            seed=self.seed,
            step=key.step,
            purpose=f"{key.purpose} {what}",
            dtype=self.variable_dtype,
        )

    def _features(
        self, context: tf.Tensor | None, key: NoiseKey | None, training: bool
    ) -> tf.Tensor | None:
        if context is None or self.context_shape is None:
            return None
        size = math.prod(self.context_shape)
        flat = self._context_standardization(tf.reshape(context, [-1, size]))
        if training and key is not None and self.context_noise_scale:
            flat += self.context_noise_scale * self._normal(
                tf.shape(flat)[0], size, key, "context noise"
            )
        if self.encoder is None:
            return flat
        return self.encoder(
            tf.reshape(flat, [-1, *self.context_shape]), training=training
        )

    # Standardisation.

    def _see_training_data(self, given: Any, prepared: Any) -> None:
        if not self.standardize or self._standardization.is_adapted:
            return
        if inspect.isgenerator(given):
            raise ValueError(
                "`x` must be data that can be read twice in the first `fit`, "
                "which takes their mean and scale; got a generator: call "
                "`adapt` with a part of them before, or make the model with "
                "standardize=False."
            )
        self._adapt(prepared)

    def adapt(self, x: Any) -> None:
        """Takes mean and scale of data, as the first `fit` does.

        The data are read once, in blocks, and their moments merged in float64:
        arrays and data sets of any batches give the same numbers.

        Args:
          x: as in `fit`, and finite.

        Raises:
          ValueError: data that the model cannot take.
        """
        self._adapt(self._prepare(x, "x"))

    def _adapt(self, prepared: Any) -> None:
        moments, of_contexts = Moments(), Moments()
        for block in examples.blocks(prepared, self._examples_at_once):
            moments.add(self._to_standardize(block["x"], moments.count))
            if len(self.context_shape or ()) == 1:
                of_contexts.add(block["context"])
        if not moments.count:
            raise ValueError("`x` must hold at least one batch; got none.")
        is_still = moments.is_still(self.variable_dtype)
        self._said.unbounded_density(is_still & self._should_vary)
        self._standardization.take(moments)
        if of_contexts.count:
            self._context_standardization.take(of_contexts)

    @property
    def _should_vary(self) -> np.ndarray:
        """Which of the numbers of `_to_standardize`, `[n]`, are not fixed."""
        raise NotImplementedError

    def _to_standardize(self, x: np.ndarray, first_row: int) -> np.ndarray:
        """Of examples, vectors `[N, n]` as `_standardization` takes them."""
        raise NotImplementedError
