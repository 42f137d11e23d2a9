"""Permutation of the coordinates, one for each member of a batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import math
from tfp_flows._tfp import tensor_util
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.parameters import (
    check_same_event_size,
    last_axis,
    refuse_keras_variables,
    static_value,
)
from tfp_flows.types import TensorLike

__all__ = ["Permutation"]


class Permutation(FlowBijector):
    """Permutation: `y_i = x_(permutation_i)`.

    Mixes the coordinates between couplings. Other than `tfb.Permute` it has a
    batch shape, so that the members of a `Scan` can differ.

    #### Mathematical details

    - forward: `y_i = x_(permutation_i)`
    - inverse: `x_(permutation_i) = y_i`
    - both log-dets: `0`

    #### Shapes

    The event is `[D]`; `permutation`: `[..., D]`, integers.

        permutation [D]      x [N, D] -> y [N, D]
        permutation [B, D]   x [B, D] -> y [B, D]     one per example

    #### Invertibility

    Invertible if and only if each of 0, ..., D - 1 stands in `permutation`
    once. This is checked where the value is known statically.

    #### Cost

    `O(D)`, and sorting `permutation` where its inverse is needed.

    #### Example

    ```python
    import tfp_flows

    flow = tfp_flows.bijectors.Permutation([2, 0, 1])
    flow.forward([10.0, 11.0, 12.0])  # [12, 10, 11]
    ```
    """

    def __init__(
        self,
        permutation: TensorLike,
        validate_args: bool = False,
        name: str = "permutation",
    ) -> None:
        """Constructs a permutation.

        Args:
          permutation: which coordinate goes where. Shape `[..., D]`, integers.
          validate_args: only reaches the base class. Default: False.
          name: name of the ops. Default: "permutation".

        Raises:
          TypeError: `permutation` is a `keras.Variable`, or holds no integers
            (floats and booleans are refused, also where they are whole).
          ValueError: `permutation` is a scalar, or known to be none.
        """
        parameters = dict(locals())
        refuse_keras_variables(permutation=permutation)
        with tf.name_scope(name) as name:
            self._permutation = _convert(permutation)
            _check(self._permutation)
            super().__init__(
                forward_min_event_ndims=1,
                is_constant_jacobian=True,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict[str, Any]:
        del dtype  # The same for every dtype.
        return {
            "permutation": tfp.util.ParameterProperties(
                event_ndims=1, is_preferred=False
            )
        }

    @property
    def permutation(self) -> Any:
        """Which coordinate goes where, `[..., D]`."""
        return self._permutation

    def _event_size(self) -> int | None:
        return last_axis(self._permutation)

    def _constrained_parameters(self) -> tuple[tf.Tensor, ...]:
        # Integers have no gradient; without this, a variable of a graph of
        # TensorFlow 1 is taken for one that `permute` should differentiate by.
        permutation = tf.stop_gradient(tf.convert_to_tensor(self._permutation))
        if permutation.dtype not in (tf.int32, tf.int64):
            permutation = tf.cast(permutation, tf.int32)
        return permutation, math.permutations.invert_permutation(permutation)

    def _forward_and_log_det(
        self, x: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        y = math.permutations.permute(x, *parameters)
        return y, tf.zeros_like(y[..., 0])

    def _inverse_and_log_det(
        self, y: tf.Tensor, parameters: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x = math.permutations.permute(y, *parameters[::-1])
        return x, tf.zeros_like(x[..., 0])


def _convert(permutation: Any) -> Any:
    """A variable as it is, else a tensor; of integers."""
    converted = tensor_util.convert_nonref_to_tensor(
        permutation, name="permutation"
    )
    dtype = tf.as_dtype(converted.dtype).base_dtype
    if not dtype.is_integer:
        raise TypeError(f"`permutation` must hold integers; got {dtype.name}.")
    if converted is permutation or tf.is_tensor(permutation):
        return converted
    return tf.cast(converted, tf.int32)  # as all the others of its kind


def _check(permutation: Any) -> None:
    check_same_event_size(permutation=permutation)
    values = static_value(permutation)
    if values is not None and not np.array_equal(
        np.sort(values),
        np.broadcast_to(np.arange(values.shape[-1]), values.shape),
    ):
        raise ValueError(
            "`permutation` must hold each of 0, ..., D - 1 once; got "
            f"{values.tolist()}."
        )
