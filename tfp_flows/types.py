"""Type aliases of the public signatures."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

__all__ = ["Shape", "TensorLike"]

# What `tf.convert_to_tensor` takes, variables included.
TensorLike: TypeAlias = (
    tf.Tensor | tf.Variable | np.ndarray | float | Sequence[Any]
)
Shape: TypeAlias = tf.TensorShape | Sequence[int | None] | tf.Tensor
