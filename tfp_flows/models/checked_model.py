"""Keras's `fit`, `evaluate` and `predict`, with their inputs checked."""

import contextlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.models import compilation
from tfp_flows.models.checked_inputs import CheckedInputs, is_dataset
from tfp_flows.models.inputs.prepare import readable_errors

__all__ = ["CheckedModel", "count_non_binary"]


class _NonBinaryWarning(keras.callbacks.Callback):
    """Warns once the device has counted values other than 0 and 1."""

    def __init__(self, model: "CheckedModel") -> None:
        super().__init__()
        self._checked = model
        self._looked = False

    def _look(self) -> None:
        self._checked.warn_if_non_binary()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._looked:  # reading the count waits for the device
            self._look()
            self._looked = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._look()


class CheckedModel(CheckedInputs):
    """A model of images; a subclass says which ones and what to do with them.

    See `CheckedInputs` for what it sets.
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | None = None,
        class_weight: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit` with the data alone.

        Args:
          x: data `[N, ...]`, or a data set of batches of them; see the class.
          y: ignored.
          batch_size: as in Keras.
          epochs: as in Keras.
          verbose: as in Keras.
          callbacks: as in Keras.
          validation_split: as in Keras.
          validation_data: as `x`, or `(x, y)`.
          shuffle: as in Keras. Default: None, arrays are shuffled. Several
            workers do so alike after `keras.utils.set_random_seed` in each.
          class_weight: must be None.
          sample_weight: must be None.
          **kwargs: others of `keras.Model.fit`.

        Returns:
          The history, with `loss` and the metrics that the class names, and the
          same with `val_` before it.

        Raises:
          ValueError: data that the model cannot take.
          ImportError: a TensorBoard callback without its package.
        """
        self._ignore_labels(
            y, class_weight=class_weight, sample_weight=sample_weight
        )
        compilation.check_callbacks(callbacks)
        given, x = x, self._prepare(x, "x")
        self._see_training_data(given, x)
        if validation_data is not None:
            validation_data = self._prepare(validation_data, "validation_data")
            if not is_dataset(validation_data):
                validation_data = (validation_data, None)
        if shuffle is None:
            shuffle = not isinstance(x, tf.data.Dataset)
        num_batches = compilation.planned_batches(
            x,
            epochs=epochs,
            batch_size=batch_size,
            steps_per_epoch=kwargs.get("steps_per_epoch"),
            validation_split=validation_split,
        )
        with readable_errors(), self._fitting(num_batches):
            compilation.announce_xla(self, verbose)
            return super().fit(
                x=x,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=self._with_warning(callbacks),
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                **kwargs,
            )

    def _fitting(
        self, num_batches: int | None
    ) -> contextlib.AbstractContextManager[None]:
        """In it, the model is set up for a `fit` of so many batches."""
        del num_batches
        return contextlib.nullcontext()

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and the metrics of the class, per example; in nats.

        The noise is keyed by the example's index: equal data give equal
        figures, whatever the batch size.

        Args:
          x: as in `fit`.
          y: ignored.
          batch_size: as in Keras.
          verbose: as in Keras.
          sample_weight: must be None.
          steps: as in Keras.
          callbacks: as in Keras.
          return_dict: whether to return a dictionary by name instead of the
            list of them, in the order of `metrics_names`.
          **kwargs: others of `keras.Model.evaluate`.

        Raises:
          ValueError: data that the model cannot take.
        """
        arguments = {
            "batch_size": batch_size,
            "verbose": verbose,
            "steps": steps,
            "return_dict": return_dict,
            **kwargs,
        }
        if kwargs.get("_use_cached_eval_dataset"):  # from within `fit`
            return super().evaluate(x=x, callbacks=callbacks, **arguments)
        self._ignore_labels(y, sample_weight=sample_weight)
        x = self._prepare(x, "x")
        with readable_errors():
            results = super().evaluate(x=x, callbacks=callbacks, **arguments)
        if self._is_binary:
            self.warn_if_non_binary()
        return _numbers(results)

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """What `model(x)` is, in batches: see `call`.

        Args:
          x: as in `fit`.
          **kwargs: others of `keras.Model.predict`.

        Returns:
          What `call` returns, of all examples.

        Raises:
          ValueError: data that the model cannot take.
        """
        x = self._prepare(x, "x")
        with readable_errors():
            return super().predict(x, **kwargs)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Writes the forward pass, `model(x)`, to be served without Python.

        Args:
          filepath: where to.
          format: as in Keras. Default: a SavedModel, with the endpoint `serve`.
          verbose: as in Keras.
          input_signature: as in Keras. Default: None, examples
            `[B, *event_shape]` of the model's dtype, for any B.
          **kwargs: others of `keras.Model.export`.

        Raises:
          ValueError: the model is not built.
        """
        self.require_built()
        if input_signature is None:
            input_signature = [self._serving_spec()]
        super().export(
            filepath,
            format=format,
            verbose=verbose,
            input_signature=input_signature,
            **kwargs,
        )

    def _serving_spec(self) -> Any:
        """What a call of the model takes."""
        return keras.InputSpec(
            shape=(None, *self.image_shape), dtype=self.variable_dtype
        )

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on one batch, checked as by `fit`.

        Args:
          x: examples `[B, ...]`.
          y: ignored.
          sample_weight: must be None.
          class_weight: must be None.
          return_dict: whether to return a dictionary by name, as `evaluate`.

        Raises:
          ValueError: data that the model cannot take.
        """
        self._ignore_labels(
            y, class_weight=class_weight, sample_weight=sample_weight
        )
        x = self._checked_batch(x)
        self.reset_metrics()  # as Keras does itself from 3.15 on
        return _numbers(super().train_on_batch(x, return_dict=return_dict))

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """What `evaluate` returns, of one batch.

        Args:
          x: examples `[B, ...]`.
          y: ignored.
          sample_weight: must be None.
          return_dict: as in `evaluate`.

        Raises:
          ValueError: data that the model cannot take.
        """
        self._ignore_labels(y, sample_weight=sample_weight)
        x = self._checked_batch(x)
        self.reset_metrics()
        return _numbers(super().test_on_batch(x, return_dict=return_dict))

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """What `predict` returns, of one batch `[B, ...]`.

        Raises:
          ValueError: data that the model cannot take.
        """
        return super().predict_on_batch(self._checked_batch(x))

    def _with_warning(self, callbacks: Any) -> list[Any]:
        """The callbacks as a list, of which Keras makes a `CallbackList`."""
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = callbacks.callbacks
        callbacks = keras.tree.flatten(callbacks)
        callbacks = [c for c in callbacks if c is not None]
        if self._is_binary:
            callbacks.append(_NonBinaryWarning(self))
        return callbacks


def _numbers(results: Any) -> Any:
    """What is logged, as Python's numbers: of tensors, before Keras 3.15."""
    return keras.tree.map_structure(float, results)


def count_non_binary(x: tf.Tensor) -> tf.Tensor:
    """How many values are neither 0 nor 1, an int32 scalar."""
    return tf.math.count_nonzero((x != 0) & (x != 1), dtype=tf.int32)
