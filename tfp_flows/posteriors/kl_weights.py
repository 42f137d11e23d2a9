"""The factor of a KL term, which may change between steps."""

import math
import numbers
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.schedules import Annealing, JointAnnealing

__all__ = ["KLWeight"]


class KLWeight:
    """A factor that compiled code reads anew at each step.

    It is a number, kept in a variable of its own from `build` on; a variable
    of the user's; or a schedule of the step.
    """

    def __init__(self, given: Any) -> None:
        """Constructs the factor.

        Args:
          given: a number that is not negative, a scalar variable or a schedule.

        Raises:
          ValueError: it is none of these.
        """
        self._given = _checked(given)
        self._own: tf.Variable | None = None
        self._is_built = False
        self._fixed: str | None = None

    @property
    def given(self) -> Any:
        """The number, variable or schedule."""
        return self._given

    def build(self, dtype: str) -> None:
        """Makes the variable of a number."""
        self._is_built = True
        if isinstance(self._given, numbers.Real):
            self._own = tf.Variable(
                self._given,
                trainable=False,
                name="kl_weight",
                dtype=dtype,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

    def fix(self, reason: str) -> None:
        """Makes `set` refuse everything, for a reason that it then says."""
        self._fixed = reason

    def set(self, value: Any) -> None:
        """Sets the factor, for compiled code too.

        Raises:
          ValueError: see `FlowPosterior.kl_weight`.
        """
        if self._fixed is not None:
            raise ValueError(
                f"`kl_weight` must stay {self._given!r} {self._fixed}; "
                f"got {value!r}."
            )
        value = _checked(value)
        is_number = isinstance(value, numbers.Real)
        if is_number and self._own is not None:
            self._own.assign(value)
            self._given = value
        elif is_number and _is_variable(self._given):
            self._given.assign(value)
        elif not self._is_built:
            self._given = value
        elif value is not self._given:
            raise ValueError(
                f"`kl_weight` is {self._given!r}, and a layer that is built "
                "keeps a schedule, and takes no other variable or schedule, as "
                "compiled code would not see it: give it to the constructor, "
                f"or set a variable's value; got {value!r}."
            )

    def value(
        self, step: tf.Tensor, training: bool, dtype: tf.DType
    ) -> tf.Tensor:
        """The factor at a step; a schedule's is 1 outside of training."""
        if isinstance(self._given, Annealing):
            if not training:
                return tf.ones([], dtype)
            return self._given.beta(step, dtype)
        variable = self._given if self._own is None else self._own
        return tf.cast(tf.convert_to_tensor(variable), dtype)

    def get_config(self) -> Any:
        """What `from_config` takes: a variable's value, a schedule's config."""
        if isinstance(self._given, Annealing):
            return keras.saving.serialize_keras_object(self._given)
        if _is_variable(self._given):
            return float(self._given.numpy())
        return self._given

    @staticmethod
    def from_config(config: Any) -> Any:
        """What the constructor takes."""
        if isinstance(config, dict):
            return keras.saving.deserialize_keras_object(config)
        return config


def _is_variable(value: Any) -> bool:
    return isinstance(value, keras.Variable | tf.Variable)


def _checked(value: Any) -> Any:
    if isinstance(value, JointAnnealing):
        raise ValueError(
            "`kl_weight` must not be a JointAnnealing, which weighs the "
            f"likelihood, too: take a KLAnnealing; got {value!r}."
        )
    if isinstance(value, Annealing):
        if getattr(value, "share", None) is not None:
            raise ValueError(
                "`kl_weight` must not have a share of the updates for its "
                "length, as a layer is not told how many there will be: give "
                f"`num_steps`; got {value!r}."
            )
        return value
    if _is_variable(value):
        dtype = tf.as_dtype(value.dtype)
        if tuple(value.shape) or not dtype.is_floating:
            raise ValueError(
                "`kl_weight` must be a scalar of floating point if it is a "
                f"variable; got {value!r}."
            )
        return value
    if not isinstance(value, numbers.Real):
        raise ValueError(
            f"`kl_weight` must not be negative; got {value!r}: give a number, "
            "a scalar variable or a schedule."
        )
    if not 0 <= float(value) < math.inf:
        raise ValueError(f"`kl_weight` must not be negative; got {value!r}.")
    return value if isinstance(value, int | float) else float(value)
