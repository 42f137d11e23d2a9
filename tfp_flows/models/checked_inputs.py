"""The data that a model is given, checked."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import likelihoods, replicas
from tfp_flows._count_metric import Count
from tfp_flows._keywords import ChecksKeywords
from tfp_flows.models.inputs.images import (
    InputRules,
    infer_event_shape,
    look,
    select_images,
)
from tfp_flows.models.inputs.prepare import prepare, readable_errors
from tfp_flows.models.once_warnings import OnceWarnings

__all__ = ["CheckedInputs", "is_dataset"]


_NOT_BUILT = (
    "the model must be built before it is used; fit it, or call "
    "`build((None, *event_shape))`."
)


class CheckedInputs(ChecksKeywords, keras.Model):
    """A model of examples; a subclass says which ones.

    It sets `event_shape`, and `likelihood` or `_data_support`, calls
    `_init_checked_inputs`, and counts non-binary values in `_num_non_binary`.
    """

    event_shape: tuple[int, ...] | None
    likelihood: likelihoods.Likelihood
    NOUN = "image"  # what messages call an example

    def _init_checked_inputs(self) -> None:
        self._said = OnceWarnings()
        self._num_non_binary = Count("num_non_binary")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`event_shape`, once it is known.

        Raises:
          ValueError: the model is not built.
        """
        if self.event_shape is None:
            raise ValueError(_NOT_BUILT)
        return self.event_shape

    def require_built(self) -> None:
        """Raises ValueError if there are no weights to give an answer with."""
        if not self.built:
            raise ValueError(_NOT_BUILT)

    def warn_if_non_binary(self) -> None:
        """Says once that data sets held values other than 0 and 1."""
        if int(self._num_non_binary.value):
            self._said.non_binary(self.likelihood.name)

    @property
    def _is_binary(self) -> bool:
        """Whether values other than 0 and 1 are worth a warning."""
        return self._data_support[0] == "binary"

    @property
    def _takes_integers(self) -> bool:
        """Whether dtypes of integers are no mistake."""
        return False

    @property
    def _has_one_worker(self) -> bool:
        return replicas.num_workers(self.distribute_strategy) == 1

    @property
    def _data_support(self) -> tuple[str, str]:
        """Where the data lie, and which likelihood says so."""
        return self.likelihood.support, self.likelihood.name

    def _checked(self, data: Any, argument: str) -> Any:
        support, likelihood = self._data_support
        rules = InputRules(
            event_shape=self.event_shape or (),
            support=support,
            dtype=self.variable_dtype,
            likelihood=likelihood,
            argument=argument,
            once=self._said,
            noun=self.NOUN,
            integers=self._takes_integers,
        )
        rules, pick = look(data, rules)
        return prepare(data, rules, pick, number_batches=self._has_one_worker)

    def _prepare(self, data: Any, argument: str) -> Any:
        """Checked data; builds the model for the first it sees."""
        prepared = self._checked(data, argument)
        if not self.built:
            shape = self._shape_to_build(prepared, argument)
            with self.distribute_strategy.scope():
                self.build(shape)
        return prepared

    def _shape_to_build(self, prepared: Any, argument: str) -> Any:
        """What `build` takes, of the first data."""
        shape = self.event_shape or infer_event_shape(
            prepared, argument, self.NOUN
        )
        return (None, *shape)

    def _see_training_data(self, given: Any, prepared: Any) -> None:
        """What a subclass does with the data before `fit` begins.

        Args:
          given: as the user gave them.
          prepared: as `fit` reads them.
        """

    def _ignore_labels(self, y: Any, **weights: Any) -> None:
        """Says once that labels are ignored; raises if there are weights."""
        for name, value in weights.items():
            if value is not None:
                raise ValueError(
                    f"`{name}` must be None, as labels and weights of examples "
                    f"are not used; got {type(value).__name__}."
                )
        if y is not None:
            self._said.labels()

    def _checked_images(
        self, x: Any, argument: str = "x"
    ) -> np.ndarray | tf.Tensor:
        """Checked images `[N, *event_shape]` of an array or a data set.

        For a model in use: unlike `fit` and `evaluate`, it builds nothing.
        """
        images = self._checked(x, argument)
        self.require_built()
        if isinstance(images, np.ndarray | tf.Tensor):
            return images
        of_python = isinstance(images, keras.utils.PyDataset)
        if (
            images.num_batches is None
            if of_python
            else images.cardinality() == tf.data.INFINITE_CARDINALITY
        ):
            raise ValueError(
                f"`{argument}` must be finite here; got an endless data set."
            )
        if of_python:  # Python's own iteration would never end
            images = (images[i] for i in range(images.num_batches))
        with readable_errors():
            batches = [select_images(batch) for batch in images]
        whole = np.concatenate(batches).astype(self.variable_dtype)
        return whole.reshape(-1, *self.image_shape)

    def _checked_batch(self, x: Any) -> np.ndarray | tf.Tensor:
        images = self._prepare(x, "x")
        if is_dataset(images):
            raise ValueError(
                "`x` must be one batch here, an array or a tensor; got "
                f"{type(x).__name__}."
            )
        return images


def is_dataset(data: Any) -> bool:
    """Whether data are a set of batches, and no array of examples."""
    return not isinstance(data, np.ndarray | tf.Tensor | dict)
